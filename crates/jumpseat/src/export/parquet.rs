//! Parquet: columns with their types, in row groups, dictionaries where values repeat, no compression. Every reader of Parquet reads it.

use std::marker::PhantomData;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::export::Target;
use crate::export::rows::{Cell, Kind, Row};

/// Rows of a group: what is held in memory before it is written.
const GROUP_LEN: usize = 20_000;
/// The same in bytes of text: prompts are long.
const GROUP_BYTES: usize = 32 << 20;

/// Writes rows into a file.
pub struct Writer<R: Row> {
    file: SerializedFileWriter<Target>,
    /// Of each column the cells of the group that is being gathered.
    columns: Vec<Vec<Cell>>,
    bytes: usize,
    of: PhantomData<R>,
}

impl<R: Row> Writer<R> {
    /// Begins a file.
    pub fn begin(target: Target) -> anyhow::Result<Writer<R>> {
        let fields = R::COLUMNS
            .iter()
            .map(|column| {
                let (physical, logical) = match column.kind {
                    Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                    Kind::Int => (Physical::INT64, None),
                    Kind::Float => (Physical::DOUBLE, None),
                    Kind::Bool => (Physical::BOOLEAN, None),
                    Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
                };
                Type::primitive_type_builder(column.name, physical)
                    .with_repetition(Repetition::OPTIONAL)
                    .with_logical_type(logical)
                    .build()
                    .map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_created_by(format!("jumpseat {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(vec![KeyValue::new("schema".to_owned(), R::SCHEMA.to_owned())]))
            .build();
        Ok(Writer {
            file: SerializedFileWriter::new(target, Arc::new(schema), Arc::new(properties))?,
            columns: R::COLUMNS.iter().map(|_| Vec::new()).collect(),
            bytes: 0,
            of: PhantomData,
        })
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &[R]) -> anyhow::Result<()> {
        for row in rows {
            for (column, cells) in R::COLUMNS.iter().zip(&mut self.columns) {
                let cell = (column.get)(row);
                if let Cell::Text(text) = &cell {
                    self.bytes += text.len();
                }
                cells.push(cell);
            }
            if self.columns[0].len() >= GROUP_LEN || self.bytes >= GROUP_BYTES {
                self.group()?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> anyhow::Result<Target> {
        self.group()?;
        Ok(self.file.into_inner()?)
    }

    fn group(&mut self) -> anyhow::Result<()> {
        self.bytes = 0;
        if self.columns.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for cells in &mut self.columns {
            let Some(mut column) = group.next_column()? else {
                unreachable!("the schema has a column for each of the row's")
            };
            let cells = std::mem::take(cells);
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Null)).collect();
            let levels = Some(levels.as_slice());
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&texts(cells), levels, None)?,
                ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&ints(cells), levels, None)?,
                ColumnWriter::DoubleColumnWriter(writer) => writer.write_batch(&floats(cells), levels, None)?,
                ColumnWriter::BoolColumnWriter(writer) => writer.write_batch(&bools(cells), levels, None)?,
                ColumnWriter::Int32ColumnWriter(_)
                | ColumnWriter::Int96ColumnWriter(_)
                | ColumnWriter::FloatColumnWriter(_)
                | ColumnWriter::FixedLenByteArrayColumnWriter(_) => {
                    unreachable!("no column of the schema is of such a type")
                }
            };
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

fn texts(cells: Vec<Cell>) -> Vec<ByteArray> {
    let text = |cell| match cell {
        Cell::Text(text) => Some(ByteArray::from(text.into_bytes())),
        Cell::List(words) => Some(ByteArray::from(words.join(" ").into_bytes())),
        Cell::Null | Cell::Int(_) | Cell::Float(_) | Cell::Bool(_) | Cell::Time(_) => None,
    };
    cells.into_iter().filter_map(text).collect()
}

fn ints(cells: Vec<Cell>) -> Vec<i64> {
    let int = |cell| match cell {
        Cell::Int(number) => Some(number),
        Cell::Time(at) => Some(i64::try_from(at.0).unwrap_or(i64::MAX)),
        Cell::Null | Cell::Text(_) | Cell::List(_) | Cell::Float(_) | Cell::Bool(_) => None,
    };
    cells.into_iter().filter_map(int).collect()
}

fn floats(cells: Vec<Cell>) -> Vec<f64> {
    let float = |cell| match cell {
        Cell::Float(number) => Some(number),
        Cell::Null | Cell::Text(_) | Cell::List(_) | Cell::Int(_) | Cell::Bool(_) | Cell::Time(_) => None,
    };
    cells.into_iter().filter_map(float).collect()
}

fn bools(cells: Vec<Cell>) -> Vec<bool> {
    let yes = |cell| match cell {
        Cell::Bool(yes) => Some(yes),
        Cell::Null | Cell::Text(_) | Cell::List(_) | Cell::Int(_) | Cell::Float(_) | Cell::Time(_) => None,
    };
    cells.into_iter().filter_map(yes).collect()
}
