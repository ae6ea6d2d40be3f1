//! A proxy that breaks connections where a test wants them broken.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Reset once the server has said so many frames.
    AfterFrames(usize),
    /// Reset right after the n-th frame that holds this text. Audio holds none: see [`Fate::AfterFrames`].
    After(&'static str, usize),
    /// Reset once the client has sent so many bytes.
    AfterSent(usize),
    /// Reset before a word is said.
    Refused,
    /// Answered 503, with a `Retry-After` of a second.
    Full,
    /// It lives.
    Whole,
}

/// A proxy, in the runtime of a test. Connections whose fate is not planned live.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    fates: VecDeque<Fate>,
    n_accepted: usize,
}

impl Proxy {
    /// A proxy in front of a service.
    pub async fn start(target: SocketAddr, fates: impl IntoIterator<Item = Fate>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            target,
            fates: fates.into_iter().collect(),
            n_accepted: 0,
        }));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, fate) = {
                    let mut state = shared.lock().unwrap();
                    state.n_accepted += 1;
                    let fate = state.fates.pop_front().unwrap_or(Fate::Whole);
                    (state.target, fate)
                };
                drop(tokio::spawn(serve(client, target, fate)));
            }
        });
        Proxy {
            address,
            state,
            accepting,
        }
    }

    /// New connections go there.
    pub fn aim(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = target;
    }

    /// Connections so far.
    pub fn n_accepted(&self) -> usize {
        self.state.lock().unwrap().n_accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut client: TcpStream, target: SocketAddr, fate: Fate) {
    match fate {
        Fate::Refused => return reset(client),
        Fate::Full => {
            let mut request = [0; 4096];
            drop(client.read(&mut request).await);
            let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            drop(client.write_all(answer).await);
            return;
        }
        Fate::AfterFrames(_) | Fate::After(..) | Fate::AfterSent(_) | Fate::Whole => {}
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return reset(client);
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let (client_reads, client_writes) = {
        let up = forward_bytes(client_reads, server_writes, fate);
        let down = forward_frames(server_reads, client_writes, fate);
        tokio::pin!(up, down);
        tokio::select! {
            // The other direction is dropped where it is: nothing that was not forwarded yet arrives.
            reads = &mut up => match reads {
                Some(reads) => (Some(reads), None),
                None => return drop(down.await),
            },
            writes = &mut down => match writes {
                Some(writes) => (None, Some(writes)),
                None => return drop(up.await),
            },
        }
    };
    // A lost half is closed with a reset too: both are of one socket.
    if let Some(reads) = client_reads {
        drop(reads.as_ref().set_zero_linger());
    }
    if let Some(writes) = client_writes {
        drop(writes.as_ref().set_zero_linger());
        writes.forget();
    }
}

fn reset(client: TcpStream) {
    drop(client.set_zero_linger());
}

/// Gives the half back if the connection is to be reset; `None` if it ended by itself.
async fn forward_bytes(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fate: Fate,
) -> Option<OwnedReadHalf> {
    let mut buffer = vec![0; 16 * 1024];
    let mut n_sent = 0;
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => {
                n_sent += n;
                if to.write_all(&buffer[..n]).await.is_err() {
                    return None;
                }
                if matches!(fate, Fate::AfterSent(limit) if limit <= n_sent) {
                    return Some(from);
                }
            }
        }
    }
}

/// As [`forward_bytes`], frame by frame.
async fn forward_frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fate: Fate,
) -> Option<OwnedWriteHalf> {
    let mut held = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut is_upgraded = false;
    let (mut n_frames, mut n_found) = (0, 0);
    loop {
        let n = from.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            return None;
        }
        held.extend_from_slice(&buffer[..n]);
        while let Some(length) = first_length(&held, is_upgraded) {
            let frame: Vec<u8> = held.drain(..length).collect();
            if to.write_all(&frame).await.is_err() {
                return None;
            }
            if !std::mem::replace(&mut is_upgraded, true) {
                continue;
            }
            n_frames += 1;
            let is_cut = match fate {
                Fate::AfterFrames(limit) => limit <= n_frames,
                Fate::After(text, limit) => {
                    let is_there = frame.windows(text.len()).any(|it| it == text.as_bytes());
                    n_found += usize::from(is_there);
                    limit <= n_found
                }
                Fate::AfterSent(_) | Fate::Refused | Fate::Full | Fate::Whole => false,
            };
            if is_cut {
                return Some(to);
            }
        }
    }
}

/// The length of the head of the answer, or of the first frame, once all of it is there.
fn first_length(held: &[u8], is_upgraded: bool) -> Option<usize> {
    if !is_upgraded {
        return held
            .windows(4)
            .position(|it| it == b"\r\n\r\n")
            .map(|it| it + 4);
    }
    // Servers do not mask.
    let short = usize::from(held.get(1)? & 0x7f);
    let length = match short {
        126 => 4 + usize::from(u16::from_be_bytes(held.get(2..4)?.try_into().ok()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(held.get(2..10)?.try_into().ok()?)).ok()?,
        short => 2 + short,
    };
    (length <= held.len()).then_some(length)
}
