"""The client's half of a WebSocket (RFC 6455), as far as the example clients beside it need it. Standard library only."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
import urllib.parse

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Problem(Exception):
    """Something the person at the keyboard can act on."""


class WebSocket:
    """One connection. Sending from several threads is fine; one thread receives."""

    def __init__(self, url, headers, timeout_s):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise Problem(f"not a WebSocket address: {url}")
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            self.socket = socket.create_connection((parts.hostname, port), timeout=timeout_s)
        except OSError as error:
            raise Problem(f"no server answers at {parts.hostname}:{port} ({error}). Is it running?") from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "wss":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=parts.hostname)
        self.reader = self.socket.makefile("rb")
        self.writing = threading.Lock()
        self._handshake(parts, headers)

    def _handshake(self, parts, headers):
        key = base64.b64encode(os.urandom(16)).decode()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *(f"{name}: {it}" for name, it in headers.items()),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        status = self.reader.readline().decode("latin-1").strip()
        answer = {}
        for line in iter(lambda: self.reader.readline().decode("latin-1").strip(), ""):
            name, _colon, value = line.partition(":")
            answer[name.strip().lower()] = value.strip()
        if " 101 " not in f"{status} ":
            body = self.reader.read(int(answer.get("content-length") or 0)).decode("utf-8", "replace")
            raise Problem(f"the server refused the connection: {status}\n  {body}")
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if answer.get("sec-websocket-accept") != accept.decode():
            raise Problem("the answer is not a WebSocket server's")

    def send(self, payload, kind=None):
        """Sends text or bytes as one frame."""
        if kind is None:
            kind = TEXT if isinstance(payload, str) else BINARY
        if isinstance(payload, str):
            payload = payload.encode()
        n_bytes = len(payload)
        head = bytes([0x80 | kind])
        if n_bytes < 126:
            head += bytes([0x80 | n_bytes])
        elif n_bytes < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack("!H", n_bytes)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", n_bytes)
        mask = os.urandom(4)
        pattern = (mask * (n_bytes // 4 + 1))[:n_bytes]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(n_bytes, "big")
        with self.writing:
            self.socket.sendall(head + mask + masked)

    def receive(self):
        """The next text or binary message, or (code, reason) when the server closes. Answers pings by itself."""
        message, kind = b"", None
        while True:
            first, second = self._exactly(2)
            n_bytes = second & 0x7F
            if n_bytes == 126:
                (n_bytes,) = struct.unpack("!H", self._exactly(2))
            elif n_bytes == 127:
                (n_bytes,) = struct.unpack("!Q", self._exactly(8))
            payload = self._exactly(n_bytes)
            opcode = first & 0x0F
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                return code, payload[2:].decode("utf-8", "replace")
            elif opcode != PONG:
                message += payload
                kind = kind or opcode
                if first & 0x80:
                    return message.decode() if kind == TEXT else message

    def _exactly(self, n_bytes):
        data = self.reader.read(n_bytes)
        if data is None or len(data) < n_bytes:
            raise Problem("the server hung up without saying why")
        return data
