//! What a graph file says of itself: its inputs, outputs, operators and the files its weights are in.
//!
//! Read without ONNX Runtime, so that a wrong or incomplete folder is named in milliseconds and before gigabytes are loaded.
//! Field numbers are those of `onnx.proto`.
//!
//! Invariants:
//! - Weights are skipped, never read: what is kept of a file is a few kilobytes.
//! - A damaged file gives an error, not a panic and not an allocation of the size it claims.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek};

use ort::value::TensorElementType;

/// Longer names are a sign of a damaged file.
const MAX_NAME_BYTES: u64 = 4096;

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    /// `None` for what is not a tensor, or of a type that no graph of ours has.
    pub element: Option<TensorElementType>,
    /// `None` where a length may vary.
    pub shape: Vec<Option<usize>>,
}

/// What is kept of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// How many nodes of each operator there are.
    pub operators: BTreeMap<String, usize>,
    /// Names of the files beside it that hold weights.
    pub sidecars: BTreeSet<String>,
}

impl Graph {
    /// Walks over a file.
    ///
    /// # Errors
    /// It is not an ONNX model.
    pub fn read(file: impl Read + Seek) -> io::Result<Graph> {
        let mut wire = Wire::of(file)?;
        let end = wire.end;
        let mut graph = None;
        while let Some(field) = wire.field(end)? {
            if let (7, Field::Bytes(end)) = field {
                graph = Some(read_graph(&mut wire, end)?);
            } else {
                wire.skip(field)?;
            }
        }
        graph.ok_or_else(|| damaged("it holds no graph"))
    }

    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|it| it.name == name)
    }

    pub fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|it| it.name == name)
    }
}

fn read_graph<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> io::Result<Graph> {
    let mut graph = Graph::default();
    let mut weights = BTreeSet::new();
    while let Some(field) = wire.field(end)? {
        match field {
            (1, Field::Bytes(end)) => {
                let operator = read_operator(wire, end)?;
                *graph.operators.entry(operator).or_default() += 1;
            }
            (5, Field::Bytes(end)) => {
                let (name, location) = read_weight(wire, end)?;
                weights.insert(name);
                graph.sidecars.extend(location);
            }
            (11, Field::Bytes(end)) => graph.inputs.push(read_port(wire, end)?),
            (12, Field::Bytes(end)) => graph.outputs.push(read_port(wire, end)?),
            other => wire.skip(other)?,
        }
    }
    // Old exporters list weights among the inputs; nobody has to give them.
    graph.inputs.retain(|it| !weights.contains(&it.name));
    Ok(graph)
}

fn read_operator<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> io::Result<String> {
    let mut operator = String::new();
    while let Some(field) = wire.field(end)? {
        match field {
            (4, Field::Bytes(end)) => operator = wire.text(end)?,
            other => wire.skip(other)?,
        }
    }
    Ok(operator)
}

/// The name of a weight, and the file that holds it if it is not this one.
fn read_weight<R: Read + Seek>(
    wire: &mut Wire<R>,
    end: u64,
) -> io::Result<(String, Option<String>)> {
    let (mut name, mut location) = (String::new(), None);
    while let Some(field) = wire.field(end)? {
        let end = match field {
            (8, Field::Bytes(end)) => {
                name = wire.text(end)?;
                continue;
            }
            (13, Field::Bytes(end)) => end,
            other => {
                wire.skip(other)?;
                continue;
            }
        };
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = wire.field(end)? {
            match field {
                (1, Field::Bytes(end)) => key = wire.text(end)?,
                (2, Field::Bytes(end)) => value = wire.text(end)?,
                other => wire.skip(other)?,
            }
        }
        if key == "location" {
            location = Some(value);
        }
    }
    Ok((name, location))
}

fn read_port<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> io::Result<Port> {
    let mut port = Port {
        name: String::new(),
        element: None,
        shape: Vec::new(),
    };
    while let Some(field) = wire.field(end)? {
        match field {
            (1, Field::Bytes(end)) => port.name = wire.text(end)?,
            // The type, in which 1 is a tensor.
            (2, Field::Bytes(end)) => {
                while let Some(field) = wire.field(end)? {
                    match field {
                        (1, Field::Bytes(end)) => read_tensor_type(wire, end, &mut port)?,
                        other => wire.skip(other)?,
                    }
                }
            }
            other => wire.skip(other)?,
        }
    }
    Ok(port)
}

fn read_tensor_type<R: Read + Seek>(
    wire: &mut Wire<R>,
    end: u64,
    port: &mut Port,
) -> io::Result<()> {
    while let Some(field) = wire.field(end)? {
        match field {
            (1, Field::Number(element)) => port.element = element_of(element),
            (2, Field::Bytes(end)) => {
                while let Some(field) = wire.field(end)? {
                    match field {
                        (1, Field::Bytes(end)) => port.shape.push(read_length(wire, end)?),
                        other => wire.skip(other)?,
                    }
                }
            }
            other => wire.skip(other)?,
        }
    }
    Ok(())
}

fn read_length<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> io::Result<Option<usize>> {
    let mut length = None;
    while let Some(field) = wire.field(end)? {
        match field {
            // Some exporters write -1 for what may vary; it does not fit and becomes `None`.
            (1, Field::Number(given)) => {
                length = usize::try_from(given)
                    .ok()
                    .filter(|it| *it <= usize::MAX / 2);
            }
            other => wire.skip(other)?,
        }
    }
    Ok(length)
}

fn element_of(number: u64) -> Option<TensorElementType> {
    Some(match number {
        1 => TensorElementType::Float32,
        6 => TensorElementType::Int32,
        7 => TensorElementType::Int64,
        9 => TensorElementType::Bool,
        10 => TensorElementType::Float16,
        11 => TensorElementType::Float64,
        16 => TensorElementType::Bfloat16,
        _ => return None,
    })
}

/// The value of a field: a number, or bytes up to a position.
#[derive(Clone, Copy, Debug)]
enum Field {
    Number(u64),
    Fixed(u8),
    Bytes(u64),
}

/// A reader of protocol buffers that knows where it is.
struct Wire<R> {
    file: io::BufReader<R>,
    at: u64,
    end: u64,
}

impl<R: Read + Seek> Wire<R> {
    fn of(mut file: R) -> io::Result<Wire<R>> {
        let end = file.seek(io::SeekFrom::End(0))?;
        file.seek(io::SeekFrom::Start(0))?;
        Ok(Wire {
            file: io::BufReader::new(file),
            at: 0,
            end,
        })
    }

    /// The next field of a message that ends at `end`.
    fn field(&mut self, end: u64) -> io::Result<Option<(u64, Field)>> {
        if end <= self.at {
            return Ok(None);
        }
        let key = self.number()?;
        let field = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Fixed(8),
            2 => {
                let n_bytes = self.number()?;
                match self.at.checked_add(n_bytes) {
                    Some(field_end) if field_end <= end => Field::Bytes(field_end),
                    _ => return Err(damaged("a part of it ends after the whole")),
                }
            }
            5 => Field::Fixed(4),
            _ => return Err(damaged("it is not a protocol buffer")),
        };
        Ok(Some((key >> 3, field)))
    }

    fn skip(&mut self, (_, field): (u64, Field)) -> io::Result<()> {
        let to = match field {
            Field::Number(_) => return Ok(()),
            Field::Fixed(n_bytes) => self.at + u64::from(n_bytes),
            Field::Bytes(end) => end,
        };
        let by = i64::try_from(to - self.at).map_err(|_| damaged("it is too long"))?;
        self.file.seek_relative(by)?;
        self.at = to;
        Ok(())
    }

    fn text(&mut self, end: u64) -> io::Result<String> {
        let n_bytes = end - self.at;
        if MAX_NAME_BYTES < n_bytes {
            return Err(damaged("a name in it is too long"));
        }
        let mut text = Vec::new();
        (&mut self.file).take(n_bytes).read_to_end(&mut text)?;
        self.at = end;
        String::from_utf8(text).map_err(|_| damaged("a name in it is not text"))
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0u8];
            self.file.read_exact(&mut byte)?;
            self.at += 1;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("it is not a protocol buffer"))
    }
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A field of bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let n_bytes = content.len();
        if n_bytes < 128 {
            field.push(u8::try_from(n_bytes).unwrap());
        } else {
            field.push(u8::try_from(n_bytes % 128).unwrap() | 0x80);
            field.push(u8::try_from(n_bytes / 128).unwrap());
        }
        field.extend_from_slice(content);
        field
    }

    fn port(name: &str, element: u8, lengths: &[&[u8]]) -> Vec<u8> {
        let shape: Vec<u8> = lengths.iter().flat_map(|it| bytes(1, it)).collect();
        let tensor = [vec![1 << 3, element], bytes(2, &shape)].concat();
        [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
    }

    fn model() -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            bytes(
                13,
                &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat(),
            )
        };
        let outside = [
            entry("location", "a.onnx_data"),
            entry("length", "12"),
            bytes(8, b"weight"),
        ]
        .concat();
        let inside = [vec![1 << 3, 2], bytes(9, &[0; 8])].concat();
        let graph = [
            bytes(1, &bytes(4, b"MatMul")),
            bytes(1, &[bytes(1, b"x"), bytes(4, b"MatMul")].concat()),
            bytes(5, &outside),
            bytes(5, &inside),
            bytes(11, &port("weight", 1, &[])),
            bytes(11, &port("x", 1, &[&bytes(2, b"batch"), &[1 << 3, 80]])),
            bytes(12, &port("y", 7, &[&[1 << 3, 3]])),
        ]
        .concat();
        [vec![1 << 3, 8], bytes(2, b"producer"), bytes(7, &graph)].concat()
    }

    #[test]
    fn ports_operators_and_sidecars_are_found() {
        let graph = Graph::read(Cursor::new(model())).unwrap();
        let x = graph.input("x").unwrap();
        assert_eq!(x.element, Some(TensorElementType::Float32));
        assert_eq!(x.shape, [None, Some(80)]);
        let y = graph.output("y").unwrap();
        assert_eq!(y.element, Some(TensorElementType::Int64));
        assert_eq!(graph.operators, BTreeMap::from([("MatMul".to_owned(), 2)]));
        assert_eq!(graph.sidecars, BTreeSet::from(["a.onnx_data".to_owned()]));
        assert_eq!(graph.input("y"), None);
        assert_eq!(
            graph.input("weight"),
            None,
            "a weight is not an input to give"
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_wherever_it_is_cut() {
        let model = model();
        for n_bytes in 0..model.len() {
            assert!(
                Graph::read(Cursor::new(&model[..n_bytes])).is_err(),
                "{n_bytes}"
            );
        }
        assert!(Graph::read(Cursor::new(b"version https://git-lfs.github.com/spec/v1")).is_err());
        // A length of 2^62 is not believed.
        let huge = [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
        assert!(Graph::read(Cursor::new(huge)).is_err());
    }
}
