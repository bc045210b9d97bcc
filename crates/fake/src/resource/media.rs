//! Images and sound: a real picture of one pixel, a real (silent) sound file, and a transcript that names what was sent.

use serde_json::{Value, json};

use crate::{
    dialect::Refusal,
    resource::{Ask, Reply, missing},
};

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
/// Images of one request.
const IMAGES_MAX: u64 = 10;
/// Characters of a spoken text.
const INPUT_CHARACTERS_MAX: usize = 4096;
/// Characters spoken in a second, about.
const CHARACTERS_A_SECOND: usize = 15;

pub(super) fn images(ask: &Ask<'_>, edit: bool) -> Result<Value, Refusal> {
    let prompt = ask.text("prompt")?;
    let sources = ask.parts.iter().filter(|part| part.filename.is_some()).count() as u64;
    if edit {
        ask.file("image")?;
    }
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let n = match &ask.body["n"] {
        Value::Null => 1,
        n => number(n).filter(|n| (1..=IMAGES_MAX).contains(n)).ok_or_else(|| {
            let message =
                format!("Invalid value for 'n': expected an integer between 1 and {IMAGES_MAX}, but got {n} instead.");
            Refusal::field("n", message).coded("invalid_value")
        })?,
    };
    let model = if ask.model.is_empty() { "gpt-image-1" } else { ask.model };
    let dall_e = model.starts_with("dall-e");
    let url = dall_e && ask.body["response_format"] != "b64_json";
    let data: Vec<Value> = (0..n)
        .map(|index| {
            let mut image = if url {
                json!({"url": format!("https://images.invalid/{:08x}/{index}.png", ask.n)})
            } else {
                json!({"b64_json": PIXEL})
            };
            if dall_e {
                image["revised_prompt"] = json!(prompt);
            }
            image
        })
        .collect();
    let mut body = json!({"created": ask.now, "data": data});
    if !dall_e {
        let or = |field: &str, default: &str| {
            ask.body[field]
                .as_str()
                .filter(|v| *v != "auto")
                .unwrap_or(default)
                .to_owned()
        };
        let text_tokens = (prompt.chars().count() as u64).div_ceil(4);
        let (input, output) = (text_tokens + 323 * sources, 272 * n);
        body["background"] = json!(or("background", "opaque"));
        body["output_format"] = json!(or("output_format", "png"));
        body["quality"] = json!(or("quality", "low"));
        body["size"] = json!(or("size", "1024x1024"));
        body["usage"] = json!({
            "input_tokens": input, "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": 323 * sources},
            "output_tokens": output, "total_tokens": input + output,
        });
    }
    Ok(body)
}

pub(super) fn speech(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    ask.model()?;
    let input = ask.text("input")?;
    if ask.body["voice"].is_null() {
        return Err(missing("voice"));
    }
    let characters = input.chars().count();
    if characters > INPUT_CHARACTERS_MAX {
        let message = format!(
            "Invalid 'input': string too long. Expected a string with maximum length {INPUT_CHARACTERS_MAX}, but got a string with length {characters} instead."
        );
        return Err(Refusal::field("input", message).coded("string_above_max_length"));
    }
    let seconds = characters.div_ceil(CHARACTERS_A_SECOND);
    let format = ask.body["response_format"].as_str().unwrap_or("mp3");
    Ok(match format {
        "mp3" => Reply::new("audio/mpeg", silent_mp3(seconds)),
        "wav" => Reply::new("audio/wav", silent_wav(seconds)),
        "pcm" => Reply::new("audio/pcm", vec![0; seconds * 48_000]),
        "opus" => Reply::new("audio/ogg", [b"OggS".as_slice(), &vec![0; seconds * 4_000]].concat()),
        "aac" => Reply::new(
            "audio/aac",
            [[0xff, 0xf1].as_slice(), &vec![0; seconds * 8_000]].concat(),
        ),
        "flac" => Reply::new("audio/flac", [b"fLaC".as_slice(), &vec![0; seconds * 16_000]].concat()),
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'mp3', 'opus', 'aac', 'flac', 'wav', and 'pcm'."
            );
            return Err(Refusal::field("response_format", message).coded("invalid_value"));
        }
    })
}

/// Frames of MPEG-1 layer 3, 128 kbit/s at 44.1 kHz, with nothing in them: 417 bytes for 26 ms.
fn silent_mp3(seconds: usize) -> Vec<u8> {
    let mut frame = vec![0; 417];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    frame.repeat(seconds.max(1) * 38)
}

/// 16-bit mono at 24 kHz.
fn silent_wav(seconds: usize) -> Vec<u8> {
    let data = u32::try_from(seconds.max(1) * 48_000).unwrap_or(u32::MAX);
    let mut wav = Vec::with_capacity(44 + data as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(data + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&[16, 0, 0, 0, 1, 0, 1, 0]);
    wav.extend_from_slice(&24_000_u32.to_le_bytes());
    wav.extend_from_slice(&48_000_u32.to_le_bytes());
    wav.extend_from_slice(&[2, 0, 16, 0]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&data.to_le_bytes());
    wav.resize(44 + data as usize, 0);
    wav
}

pub(super) fn transcription(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let model = ask.model()?;
    let file = ask.file("file")?;
    if file.data.is_empty() {
        return Err(Refusal::field("file", "Audio file might be corrupted or unsupported").coded("invalid_value"));
    }
    let name = file.filename.as_deref().unwrap_or("audio");
    let text = format!("Transcript of {name}, {} bytes.", file.data.len());
    let seconds = file.data.len().div_ceil(16_000).max(1);
    let whisper = model.starts_with("whisper");
    let usage = if whisper {
        json!({"type": "duration", "seconds": seconds})
    } else {
        let (audio, output) = (seconds * 10, text.len().div_ceil(4));
        json!({"type": "tokens", "input_tokens": audio, "input_token_details": {"text_tokens": 0, "audio_tokens": audio}, "output_tokens": output, "total_tokens": audio + output})
    };
    let format = ask.body["response_format"].as_str().unwrap_or("json");
    Ok(match format {
        "json" => json!({"text": text, "usage": usage}).into(),
        "text" => Reply::new("text/plain; charset=utf-8", format!("{text}\n")),
        "srt" => Reply::new(
            "text/plain; charset=utf-8",
            format!("1\n00:00:00,000 --> 00:00:{seconds:02},000\n{text}\n\n"),
        ),
        "vtt" => Reply::new(
            "text/plain; charset=utf-8",
            format!("WEBVTT\n\n00:00:00.000 --> 00:00:{seconds:02}.000\n{text}\n\n"),
        ),
        "verbose_json" => {
            let segment = json!({"id": 0, "seek": 0, "start": 0.0, "end": seconds as f64, "text": text, "tokens": [1, 2, 3], "temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 1.0, "no_speech_prob": 0.01});
            json!({"task": "transcribe", "language": "english", "duration": seconds as f64, "text": text, "segments": [segment], "usage": usage}).into()
        }
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'json', 'text', 'srt', 'verbose_json', and 'vtt'."
            );
            return Err(Refusal::field("response_format", message).coded("invalid_value"));
        }
    })
}
