//! Every kind of address that must not be reached, and every way to get there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use chassis::api_error::Classify as _;
use wire::error::ErrorCode;

use super::*;

fn fetcher(private_addresses: bool) -> Fetcher {
    Fetcher::new(Limits {
        max_bytes: 1_000,
        timeout: Duration::from_secs(5),
        private_addresses,
    })
    .unwrap()
}

/// Answers every connection with `answer` until the test ends; gives its port.
fn server(answer: impl Into<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.into();
    std::thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4_096];
                // A client may have gone again; the next one counts.
                drop(stream.read(&mut request));
                drop(stream.write_all(answer.as_bytes()));
            }
        })
        .unwrap();
    port
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn refused(fetcher: &Fetcher, url: &str, code: ErrorCode) {
    let error = fetcher.get(url).await.unwrap_err();
    assert_eq!(error.code(), code, "{url}: {error}");
}

#[test]
fn only_public_addresses_are_public() {
    let private = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
        172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 \
        224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
        :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: \
        2002:a00:1:: fe80::1 fec0::1 fc00::1 fd12:3456::1 ff02::1 2001:db8::1 2001::1 2001:10::1 3fff::1 100::1 4000::1";
    for address in private.split_whitespace() {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    let public = "1.1.1.1 8.8.8.8 99.255.255.255 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.167.1.1 223.255.255.255 \
        2606:4700:4700::1111 2a00:1450::1 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1";
    for address in public.split_whitespace() {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[actix_web::test]
async fn private_addresses_are_refused_in_every_spelling() {
    let port = server(ok("secret"));
    let fetcher = fetcher(false);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
    ] {
        refused(
            &fetcher,
            &format!("http://{host}:{port}/"),
            ErrorCode::UrlForbidden,
        )
        .await;
    }
    for url in [
        "file:///etc/passwd",
        "ftp://example.com/a.wav",
        "gopher://127.0.0.1/",
        "data:audio/wav;base64,AAAA",
    ] {
        refused(&fetcher, url, ErrorCode::UrlForbidden).await;
    }
    refused(&fetcher, "not a url", ErrorCode::UrlFailed).await;
}

#[actix_web::test]
async fn what_is_allowed_is_fetched() {
    let port = server(ok("RIFF"));
    let content = fetcher(true)
        .get(&format!("http://127.0.0.1:{port}/a.wav"))
        .await
        .unwrap();
    assert_eq!(&content[..], b"RIFF");
}

#[actix_web::test]
async fn a_redirect_is_checked_like_a_first_address() {
    let fetcher = fetcher(true);
    let to_file = server(
        "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
    );
    let error = fetcher
        .get(&format!("http://127.0.0.1:{to_file}/"))
        .await
        .unwrap_err();
    assert!(
        matches!(error.code(), ErrorCode::UrlForbidden | ErrorCode::UrlFailed),
        "{error}"
    );
    let round = server(
        "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n",
    );
    refused(
        &fetcher,
        &format!("http://127.0.0.1:{round}/"),
        ErrorCode::UrlForbidden,
    )
    .await;
    // The same guard sees literal private addresses in redirects.
    let guard = Guard {
        private_addresses: false,
    };
    assert!(
        guard
            .check(&Url::parse("http://169.254.169.254/latest/meta-data").unwrap())
            .is_err()
    );
    assert!(
        guard
            .check(&Url::parse("https://example.com/a.wav").unwrap())
            .is_ok()
    );
}

#[actix_web::test]
async fn size_status_and_absence_are_told() {
    let fetcher = fetcher(true);
    let large = server(ok(&"x".repeat(1_001)));
    refused(
        &fetcher,
        &format!("http://127.0.0.1:{large}/"),
        ErrorCode::PayloadTooLarge,
    )
    .await;
    let liar = server(format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        "x".repeat(5_000)
    ));
    refused(
        &fetcher,
        &format!("http://127.0.0.1:{liar}/"),
        ErrorCode::PayloadTooLarge,
    )
    .await;
    let missing =
        server("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    refused(
        &fetcher,
        &format!("http://127.0.0.1:{missing}/"),
        ErrorCode::UrlFailed,
    )
    .await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    refused(
        &fetcher,
        &format!("http://127.0.0.1:{nobody}/"),
        ErrorCode::UrlFailed,
    )
    .await;
}
