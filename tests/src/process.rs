//! A service as a process of its own, as operators meet it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{http, pause};

/// The path of a program that serves.
#[derive(Clone, Copy, Debug)]
pub struct Program(pub &'static str);

impl Program {
    fn command(self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.0);
        // Nothing of the environment of whoever runs the tests.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
            .args([
                "--host",
                "127.0.0.1",
                "--set",
                "log.format=json",
                "--set",
                "server.workers=2",
                "--set",
                "model.max_wait_ms=60000",
            ])
            .args(arguments);
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        command
            .args(["--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::sync_channel(10_000);
        let read = move || {
            for line in stderr.lines().map_while(Result::ok) {
                // A log longer than that is not read by any test.
                drop(lines.try_send(line));
            }
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(read)
            .unwrap();
        let mut seen = Vec::new();
        let address = loop {
            let line = log
                .recv_timeout(Duration::from_secs(60))
                .unwrap_or_else(|_| panic!("it did not start: {seen:#?}"));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let found = [&json["address"], &json["fields"]["address"]]
                .into_iter()
                .find_map(|it| it.as_str()?.parse().ok());
            seen.push(line);
            if let Some(address) = found {
                break address;
            }
        };
        let process = Process {
            child,
            address,
            log,
        };
        for _ in 0..1_200 {
            if http::get_blocking(process.address, "/readyz").starts_with("HTTP/1.1 200") {
                return process;
            }
            pause(Duration::from_millis(50));
        }
        panic!(
            "not ready: {:#?}",
            process.log.try_iter().collect::<Vec<_>>()
        );
    }

    /// Runs to its end, which is soon.
    pub fn output(self, arguments: &[&str]) -> Output {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if Duration::from_secs(60) < began.elapsed() {
                child.kill().unwrap();
                panic!("{arguments:?} goes on: {:?}", child.wait_with_output());
            }
            pause(Duration::from_millis(20));
        }
        child.wait_with_output().unwrap()
    }

    /// Runs to its end, which has to be this one and say these words.
    #[track_caller]
    pub fn fails(self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.output(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in: {told}");
        }
        assert!(!told.contains("panicked"), "{told}");
    }
}

/// A service that runs.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Process {
    /// `http://…` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends it a signal by its short name.
    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// Its exit code, which comes within `patience`.
    pub fn ended(&mut self, patience: Duration) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            let log = || self.log.try_iter().collect::<Vec<_>>();
            assert!(began.elapsed() < patience, "it goes on: {:#?}", log());
            pause(Duration::from_millis(20));
        }
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The variables it began with, `NAME=VALUE` each.
    pub fn environment(&self) -> Vec<String> {
        let all = fs::read(format!("/proc/{}/environ", self.child.id())).unwrap();
        let each = all.split(|it| *it == 0);
        each.map(|it| String::from_utf8_lossy(it).into_owned())
            .collect()
    }

    /// As tools that list processes show it.
    pub fn name(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.child.id())).unwrap();
        name.trim().to_owned()
    }

    /// Open files and sockets.
    pub fn n_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
