//! The model that is compiled in.

/// Its files by name.
pub(super) const FILES: [(&str, &[u8]); 6] = [
    (
        "speech_encoder.onnx",
        include_bytes!("../../../models/demo/speech_encoder.onnx"),
    ),
    (
        "embed_tokens.onnx",
        include_bytes!("../../../models/demo/embed_tokens.onnx"),
    ),
    (
        "language_model.onnx",
        include_bytes!("../../../models/demo/language_model.onnx"),
    ),
    (
        "conditional_decoder.onnx",
        include_bytes!("../../../models/demo/conditional_decoder.onnx"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../../../models/demo/tokenizer.json"),
    ),
    (
        "default_voice.wav",
        include_bytes!("../../../models/demo/default_voice.wav"),
    ),
];
