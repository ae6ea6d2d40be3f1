//! Containers and codecs that Symphonia reads, and Opus packets in them.
//!
//! Only the reader for the kind that was recognised is tried. Nothing that Symphonia claims about lengths is used to
//! reserve memory, and a panic inside it is the file's fault and not the end of a thread.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::ProbeableFormat;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;
use symphonia::default::{formats, get_codecs};

use super::kind::Kind;
use super::matroska::Outline;
use super::sink::{End, Sink};
use super::{Clip, DecodeError, he_aac, mp4, ogg};
use crate::opus::{self, PacketDecoder};

/// Packets beyond one per byte would be made of nothing; a reader that gives them is going round in circles.
const SPARE_PACKETS: usize = 1000;
/// The longest stretch of silence that one broken packet is replaced with.
const MAX_GAP_S: u64 = 1;

pub(super) fn decode(kind: Kind, bytes: &[u8], mut sink: Sink) -> Result<Clip, DecodeError> {
    let container = sink.container();
    let read = catch_unwind(AssertUnwindSafe(|| read(kind, bytes, &mut sink)));
    match read {
        Ok(Ok(end)) => sink.finish(end),
        Ok(Err(error)) => Err(error),
        Err(_panic) if sink.n_source() > 0 => sink.finish(End::Early { claimed: None }),
        Err(_panic) => {
            let fault = "it drives the decoder into contradictions".to_owned();
            Err(DecodeError::Malformed { container, fault })
        }
    }
}

fn read(kind: Kind, bytes: &[u8], sink: &mut Sink) -> Result<End, DecodeError> {
    match kind {
        Kind::Matroska => {
            let outline = Outline::of(bytes);
            let mended = outline.mended(bytes);
            let packets = Packets {
                is_cut: outline.is_cut,
                padding: outline,
            };
            packets.read(kind, mended.as_deref().unwrap_or(bytes), sink)
        }
        Kind::Mp4 => {
            let mended = mp4::mended(bytes);
            let packets = Packets {
                is_cut: mp4::is_cut(bytes),
                padding: Outline::default(),
            };
            packets.read(kind, mended.as_deref().unwrap_or(bytes), sink)
        }
        Kind::Ogg => Packets {
            is_cut: !ogg::has_last_page(bytes),
            padding: Outline::default(),
        }
        .read(kind, bytes, sink),
        Kind::Wav | Kind::Aiff | Kind::Caf | Kind::Flac | Kind::Mp3 | Kind::Adts => Packets {
            is_cut: false,
            padding: Outline::default(),
        }
        .read(kind, bytes, sink),
    }
}

/// What is known of a file before its packets are read.
struct Packets {
    is_cut: bool,
    padding: Outline,
}

impl Packets {
    fn read(&self, kind: Kind, bytes: &[u8], sink: &mut Sink) -> Result<End, DecodeError> {
        let container = sink.container();
        let mut reader =
            open(kind, bytes).map_err(|error| self.opening_failed(container, error))?;
        let track = reader
            .default_track(TrackType::Audio)
            .or_else(|| reader.first_track(TrackType::Audio))
            .cloned();
        let Some((track, parameters)) =
            track.as_ref().and_then(|track| match &track.codec_params {
                Some(CodecParameters::Audio(parameters)) => Some((track, parameters)),
                _ => None,
            })
        else {
            let is_cut = self.is_cut;
            return Err(if is_cut {
                DecodeError::Truncated { container }
            } else {
                DecodeError::NoAudioTrack { container }
            });
        };
        let mut decoder = Decoder::new(kind, parameters, container)?;
        let rate_hz = decoder.rate_hz;
        if let Some(rate_hz) = rate_hz {
            sink.open(rate_hz, decoder.n_channels(parameters), decoder.codec())?;
        }
        let rate_hz = rate_hz.unwrap_or(0);
        let n_skipped = n_to_skip(kind, bytes, &decoder, rate_hz);
        sink.skip(n_skipped);
        sink.trim_end(self.padding.padding_samples(rate_hz));

        let damage = read_packets(reader.as_mut(), track, &mut decoder, sink, bytes.len())?;
        if damage.n_decoded == 0 && damage.n_broken > 0 {
            return Err(DecodeError::Malformed {
                container,
                fault: damage.first_fault.unwrap_or_default(),
            });
        }
        // Encoders count their padding now and then; a file has ended early when a packet is missing.
        let n_found = sink
            .n_source()
            .saturating_add(n_skipped)
            .saturating_add(decoder.longest_packet);
        let claimed = track.num_frames.filter(|&claimed| claimed > n_found);
        let is_whole = !self.is_cut && damage.first_fault.is_none() && claimed.is_none();
        let claimed = claimed.map(|claimed| claimed.saturating_sub(n_skipped));
        Ok(if is_whole {
            End::Whole
        } else {
            End::Early { claimed }
        })
    }

    fn opening_failed(&self, container: &'static str, error: Error) -> DecodeError {
        match error {
            Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                DecodeError::Truncated { container }
            }
            _ if self.is_cut => DecodeError::Truncated { container },
            Error::Unsupported(fault) | Error::DecodeError(fault) => DecodeError::Malformed {
                container,
                fault: fault.to_owned(),
            },
            other @ (Error::IoError(_)
            | Error::SeekError(_)
            | Error::LimitError(_)
            | Error::ResetRequired
            | _) => DecodeError::Malformed {
                container,
                fault: other.to_string(),
            },
        }
    }
}

/// What went wrong between the first packet and the last.
#[derive(Default)]
struct Damage {
    n_decoded: usize,
    n_broken: usize,
    first_fault: Option<String>,
}

fn read_packets(
    reader: &mut dyn FormatReader,
    track: &Track,
    decoder: &mut Decoder,
    sink: &mut Sink,
    n_bytes: usize,
) -> Result<Damage, DecodeError> {
    let is_matroska = sink.container() == Kind::Matroska.name();
    let rate_hz = sink.rate_hz();
    let mut damage = Damage::default();
    for _ in 0..n_bytes.saturating_add(SPARE_PACKETS) {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A live recording has no other end than that of its bytes; whether a file was cut is known already.
            Err(Error::IoError(error))
                if is_matroska && error.kind() == ErrorKind::UnexpectedEof =>
            {
                break;
            }
            Err(error) => {
                damage.first_fault.get_or_insert_with(|| error.to_string());
                break;
            }
        };
        if packet.track_id != track.id {
            continue;
        }
        match decoder.decode(&packet, sink) {
            Ok(()) => damage.n_decoded = damage.n_decoded.saturating_add(1),
            Err(Fault::Ours(error)) => return Err(error),
            Err(Fault::Packet { fault, is_replaced }) => {
                damage.n_broken = damage.n_broken.saturating_add(1);
                damage.first_fault.get_or_insert(fault);
                if !is_replaced {
                    sink.push_silence(gap(&packet, track.time_base, rate_hz))?;
                }
            }
        }
    }
    Ok(damage)
}

fn open(kind: Kind, bytes: &[u8]) -> Result<Box<dyn FormatReader + '_>, Error> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let options = FormatOptions::default();
    match kind {
        Kind::Wav => formats::WavReader::try_probe_new(source, options),
        Kind::Aiff => formats::AiffReader::try_probe_new(source, options),
        Kind::Caf => formats::CafReader::try_probe_new(source, options),
        Kind::Flac => formats::FlacReader::try_probe_new(source, options),
        Kind::Mp3 => formats::MpaReader::try_probe_new(source, options),
        Kind::Adts => formats::AdtsReader::try_probe_new(source, options),
        Kind::Ogg => formats::OggReader::try_probe_new(source, options),
        Kind::Mp4 => formats::IsoMp4Reader::try_probe_new(source, options),
        Kind::Matroska => formats::MkvReader::try_probe_new(source, options),
    }
}

fn n_to_skip(kind: Kind, bytes: &[u8], decoder: &Decoder, rate_hz: u32) -> u64 {
    let pre_skip = match &decoder.codec {
        Codec::Opus { packets, .. } => u64::from(packets.head().pre_skip),
        Codec::Symphonia { .. } => 0,
    };
    match kind {
        Kind::Mp4 => mp4::audio_start(bytes).map_or(pre_skip, |start| start.samples(rate_hz)),
        Kind::Wav
        | Kind::Aiff
        | Kind::Caf
        | Kind::Flac
        | Kind::Mp3
        | Kind::Adts
        | Kind::Ogg
        | Kind::Matroska => pre_skip,
    }
}

/// How long a packet that could not be decoded would have been.
fn gap(packet: &Packet, time_base: Option<TimeBase>, rate_hz: u32) -> u64 {
    let Some(time_base) = time_base else { return 0 };
    let (numerator, denominator) = (
        u64::from(time_base.numer.get()),
        u64::from(time_base.denom.get()),
    );
    let scaled = packet
        .block_dur()
        .get()
        .saturating_mul(numerator)
        .saturating_mul(u64::from(rate_hz));
    let n_samples = scaled.checked_div(denominator).unwrap_or(0);
    n_samples.min(MAX_GAP_S.saturating_mul(u64::from(rate_hz)))
}

/// Why a packet gave no samples.
enum Fault {
    /// It is damaged. `is_replaced` if silence has been put in its place.
    Packet { fault: String, is_replaced: bool },
    /// It is fine and we do not take it.
    Ours(DecodeError),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Ours(error)
    }
}

struct Decoder {
    codec: Codec,
    /// If it is known before the first packet.
    rate_hz: Option<u32>,
    /// Samples in the longest packet so far.
    longest_packet: u64,
}

enum Codec {
    Symphonia {
        decoder: Box<dyn AudioDecoder>,
        name: &'static str,
        interleaved: Vec<f32>,
    },
    Opus {
        packets: Box<PacketDecoder>,
        mono: Vec<f32>,
    },
}

impl Decoder {
    fn new(
        kind: Kind,
        parameters: &AudioCodecParameters,
        container: &'static str,
    ) -> Result<Self, DecodeError> {
        if parameters.codec == well_known::CODEC_ID_OPUS {
            return Self::opus(kind, parameters, container);
        }
        let codec = codec_name(parameters.codec);
        let mut rate_hz = parameters.sample_rate;
        let options = AudioDecoderOptions::default();
        let mut decoder = get_codecs().make_audio_decoder(parameters, &options);
        if matches!(decoder, Err(Error::Unsupported(_)))
            && parameters.codec == well_known::CODEC_ID_AAC
            && let Some(core) = parameters.extra_data.as_deref().and_then(he_aac::core)
        {
            let mut plain = parameters.clone();
            plain
                .with_extra_data(Box::new(core.config))
                .with_sample_rate(core.rate_hz);
            rate_hz = Some(core.rate_hz);
            decoder = get_codecs().make_audio_decoder(&plain, &options);
        }
        let decoder = decoder.map_err(|error| {
            if matches!(error, Error::Unsupported(_)) {
                DecodeError::UnsupportedCodec {
                    container,
                    codec: codec_description(parameters.codec),
                }
            } else {
                DecodeError::Malformed {
                    container,
                    fault: error.to_string(),
                }
            }
        })?;
        Ok(Self {
            codec: Codec::Symphonia {
                decoder,
                name: codec,
                interleaved: Vec::new(),
            },
            rate_hz,
            longest_packet: 0,
        })
    }

    fn opus(
        kind: Kind,
        parameters: &AudioCodecParameters,
        container: &'static str,
    ) -> Result<Self, DecodeError> {
        let bytes = parameters.extra_data.as_deref().unwrap_or_default();
        let head = match (kind, bytes.strip_prefix(opus::Head::MAGIC)) {
            // Symphonia puts the magic before the box's content, which is big endian.
            (Kind::Mp4, Some(fields)) => opus::Head::parse_mp4(fields),
            _ => opus::Head::parse(bytes),
        };
        let head = head.map_err(|fault| {
            let codec = format!("opus: the Opus header cannot be used: {fault}");
            DecodeError::UnsupportedCodec { container, codec }
        })?;
        let packets = Box::new(PacketDecoder::new(head));
        Ok(Self {
            codec: Codec::Opus {
                packets,
                mono: Vec::new(),
            },
            rate_hz: Some(opus::RATE_HZ),
            longest_packet: 0,
        })
    }

    const fn codec(&self) -> &'static str {
        match &self.codec {
            Codec::Symphonia { name, .. } => name,
            Codec::Opus { .. } => "opus",
        }
    }

    fn n_channels(&self, parameters: &AudioCodecParameters) -> u32 {
        match &self.codec {
            // Where the container does not say, the first packet does.
            Codec::Symphonia { .. } => parameters.channels.as_ref().map_or(1, |channels| {
                u32::try_from(channels.count()).unwrap_or(u32::MAX)
            }),
            Codec::Opus { packets, .. } => u32::from(packets.head().n_channels),
        }
    }

    fn decode(&mut self, packet: &Packet, sink: &mut Sink) -> Result<(), Fault> {
        let n_samples = match &mut self.codec {
            Codec::Symphonia {
                decoder,
                name,
                interleaved,
            } => {
                let buffer = decoder.decode(packet).map_err(|error| Fault::Packet {
                    fault: error.to_string(),
                    is_replaced: false,
                })?;
                let (rate_hz, n_channels) =
                    (buffer.spec().rate(), buffer.spec().channels().count());
                sink.open(rate_hz, u32::try_from(n_channels).unwrap_or(u32::MAX), name)?;
                interleaved.clear();
                buffer.copy_to_vec_interleaved(interleaved);
                sink.push(interleaved, n_channels)?;
                buffer.frames()
            }
            Codec::Opus { packets, mono } => {
                mono.clear();
                let decoded = packets.decode(&packet.data, mono);
                sink.push_mono(mono)?;
                decoded.map_err(|_damaged| Fault::Packet {
                    fault: "a packet is no Opus".to_owned(),
                    is_replaced: true,
                })?;
                mono.len()
            }
        };
        self.longest_packet = self.longest_packet.max(n_samples as u64);
        Ok(())
    }
}

const CODECS: [(AudioCodecId, &str); 22] = [
    (well_known::CODEC_ID_PCM_S8, "pcm_s8"),
    (well_known::CODEC_ID_PCM_U8, "pcm_u8"),
    (well_known::CODEC_ID_PCM_S16LE, "pcm_s16le"),
    (well_known::CODEC_ID_PCM_S16BE, "pcm_s16be"),
    (well_known::CODEC_ID_PCM_S24LE, "pcm_s24le"),
    (well_known::CODEC_ID_PCM_S24BE, "pcm_s24be"),
    (well_known::CODEC_ID_PCM_S32LE, "pcm_s32le"),
    (well_known::CODEC_ID_PCM_S32BE, "pcm_s32be"),
    (well_known::CODEC_ID_PCM_F32LE, "pcm_f32le"),
    (well_known::CODEC_ID_PCM_F32BE, "pcm_f32be"),
    (well_known::CODEC_ID_PCM_F64LE, "pcm_f64le"),
    (well_known::CODEC_ID_PCM_F64BE, "pcm_f64be"),
    (well_known::CODEC_ID_PCM_ALAW, "alaw"),
    (well_known::CODEC_ID_PCM_MULAW, "mulaw"),
    (well_known::CODEC_ID_ADPCM_MS, "adpcm_ms"),
    (well_known::CODEC_ID_ADPCM_IMA_WAV, "adpcm_ima"),
    (well_known::CODEC_ID_FLAC, "flac"),
    (well_known::CODEC_ID_ALAC, "alac"),
    (well_known::CODEC_ID_MP2, "mp2"),
    (well_known::CODEC_ID_MP3, "mp3"),
    (well_known::CODEC_ID_AAC, "aac"),
    (well_known::CODEC_ID_VORBIS, "vorbis"),
];

fn codec_name(id: AudioCodecId) -> &'static str {
    CODECS
        .iter()
        .find(|(known, _)| *known == id)
        .map_or("other", |(_, name)| name)
}

/// For an error message about a codec that has no decoder here.
fn codec_description(id: AudioCodecId) -> String {
    match id {
        well_known::CODEC_ID_AAC => {
            "aac with more than two channels, or newer than HE-AAC".to_owned()
        }
        well_known::CODEC_ID_AC3 => "ac3".to_owned(),
        well_known::CODEC_ID_EAC3 => "eac3".to_owned(),
        well_known::CODEC_ID_DCA => "dts".to_owned(),
        well_known::CODEC_ID_WMA => "wma".to_owned(),
        well_known::CODEC_ID_SPEEX => "speex".to_owned(),
        other => format!("codec {other}"),
    }
}
