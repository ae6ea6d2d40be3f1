#!/usr/bin/env python3
"""The server to compare with: FastAPI, faster-whisper, Silero and Smart Turn.

Built as a careful Python engineer would build the usual design: one model shared by all users behind one
queue, voice activity state per user, drafts by transcribing the growing buffer again, the final when
the turn ends, uvicorn with uvloop, and every model call in a thread so that the event loop stays free.
It speaks the messages of the native WebSocket, so the same load generator drives both servers.

Two things to know when reading a comparison. faster-whisper always encodes 30 s, however short the
clip, because that is how the library works. And `--finals-first` is not part of the usual design; it is
here to see how much a priority queue alone would do for it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from fastapi import FastAPI, Form, HTTPException, UploadFile, WebSocket, WebSocketDisconnect

from session import DEFAULTS, Session
from transcriber import Transcriber
from turns import TurnModels


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of a CTranslate2 Whisper model")
    parser.add_argument("--turn-models", required=True, help="directory with silero_vad.onnx and smart-turn-v3.2-cpu.onnx")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--threads", type=int, default=2, help="threads of one Whisper call")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--max-connections", type=int, default=1000)
    parser.add_argument("--finals-first", action="store_true", help="finals overtake waiting drafts and files")
    return parser.parse_args()


def build(args: argparse.Namespace) -> FastAPI:
    transcriber = Transcriber(args.model, args.threads, args.compute_type, args.finals_first)
    models = TurnModels(args.turn_models)
    vad_pool = ThreadPoolExecutor(max_workers=args.threads, thread_name_prefix="vad")
    connected = 0

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI):
        worker = asyncio.create_task(transcriber.work())
        yield
        worker.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/transcribe")
    async def transcribe(file: UploadFile, language: str | None = Form(None), beam_size: int = Form(5)) -> dict[str, Any]:
        options = {"language": language, "beam_size": beam_size}
        try:
            pieces, info = await transcriber.file(await file.read(), options)
        except Exception as error:  # noqa: BLE001 - the client is told
            raise HTTPException(415, str(error)) from error
        return {
            "text": "".join(piece.text for piece in pieces).strip(),
            "segments": [
                {
                    "id": piece.id,
                    "start": piece.start,
                    "end": piece.end,
                    "text": piece.text,
                    "avg_logprob": piece.avg_logprob,
                    "no_speech_prob": piece.no_speech_prob,
                    "compression_ratio": piece.compression_ratio,
                }
                for piece in pieces
            ],
            "language": info.language,
            "language_probability": info.language_probability,
            "duration": info.duration,
        }

    @app.websocket("/v1/stream/asr")
    async def stream(socket: WebSocket) -> None:
        nonlocal connected
        if connected >= args.max_connections:
            await socket.close(1013)
            return
        await socket.accept()
        connected += 1

        async def send(message: dict[str, Any]) -> None:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_text(json.dumps(message))

        async def open_session(wanted: dict[str, Any]) -> Session:
            vad = wanted.get("vad")
            wanted = {**wanted, **vad} if isinstance(vad, dict) else wanted
            if "threshold" in wanted:
                wanted["vad_threshold"] = wanted["threshold"]
            config = {**DEFAULTS, **{key: value for key, value in wanted.items() if key in DEFAULTS}}
            opened = Session(models, transcriber, vad_pool, send, config)
            await send({"type": "ready", "session_id": str(id(opened)), "protocol": 1, "config": config})
            return opened

        session = await open_session(
            {key: {"true": True, "false": False}.get(value, value) for key, value in socket.query_params.items()}
        )
        try:
            while True:
                received = await socket.receive()
                if received["type"] == "websocket.disconnect":
                    break
                if received.get("bytes") is not None:
                    await session.feed(received["bytes"])
                    continue
                message = json.loads(received["text"])
                kind = message.get("type")
                if kind == "config":
                    session = await open_session(message)
                elif kind == "finalize":
                    await session.finalize("finalize")
                    await send({"type": "finalized", "id": message.get("id")})
                elif kind == "close":
                    await send(await session.close())
                    await socket.close(1000)
                    break
                elif kind != "keepalive":
                    await send({"type": "error", "code": "INVALID_REQUEST", "message": f"unknown message `{kind}`", "recoverable": True})
        except WebSocketDisconnect:
            pass
        finally:
            connected -= 1
            session.abandon()

    return app


def main() -> None:
    args = arguments()
    uvicorn.run(build(args), host=args.host, port=args.port, loop="uvloop", http="httptools", log_level="warning", ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
