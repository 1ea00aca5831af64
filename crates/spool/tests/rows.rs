//! Rows keep what was put in them, whatever it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::borrow::Cow;
use std::net::IpAddr;

use proptest::prelude::*;
use spool::{
    Column, ColumnType, Index, Options, Position, Reader, Row, RowWriter, Schema, Spool, TEXT_LIMIT, Table,
    TableMarker, Value, kind, native_block,
};

#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Plain(Value<'static>),
    Text(Vec<u8>),
    Json(Vec<u8>),
    Labels(Vec<Vec<u8>>),
}

impl Owned {
    fn borrow(&self) -> Value<'_> {
        match self {
            Owned::Plain(value) => value.clone(),
            Owned::Text(text) => Value::Text(text),
            Owned::Json(text) => Value::Json(text),
            Owned::Labels(labels) => Value::Labels(labels.iter().map(Vec::as_slice).collect()),
        }
    }
}

fn column() -> impl Strategy<Value = (ColumnType, Option<Owned>)> {
    let text = || prop::collection::vec(any::<u8>(), 0..200);
    let plain = |strategy: BoxedStrategy<Value<'static>>| strategy.prop_map(Owned::Plain).boxed();
    let address = any::<(bool, u128)>().prop_map(|(short, bits)| {
        Value::Ip(if short { IpAddr::from((bits as u32).to_be_bytes()) } else { IpAddr::from(bits.to_be_bytes()) })
    });
    let of =
        |column_type: ColumnType, values: BoxedStrategy<Owned>| (Just(column_type), prop::option::of(values)).boxed();
    prop_oneof![
        of(ColumnType::Bool, plain(any::<bool>().prop_map(Value::Bool).boxed())),
        of(ColumnType::UInt16, plain(any::<u16>().prop_map(|value| Value::UInt(value.into())).boxed())),
        of(ColumnType::UInt32, plain(any::<u32>().prop_map(|value| Value::UInt(value.into())).boxed())),
        of(ColumnType::UInt64, plain(any::<u64>().prop_map(Value::UInt).boxed())),
        of(ColumnType::Int64, plain(any::<i64>().prop_map(Value::Int).boxed())),
        of(ColumnType::Float64, plain(prop::num::f64::NORMAL.prop_map(Value::Float).boxed())),
        of(ColumnType::Timestamp, plain(any::<u64>().prop_map(Value::Timestamp).boxed())),
        of(ColumnType::Text, text().prop_map(Owned::Text).boxed()),
        of(ColumnType::Label, text().prop_map(Owned::Text).boxed()),
        of(ColumnType::Json, text().prop_map(Owned::Json).boxed()),
        of(ColumnType::Ip, plain(address.boxed())),
        of(ColumnType::Labels, prop::collection::vec(text(), 0..5).prop_map(Owned::Labels).boxed()),
    ]
}

fn table(types: impl IntoIterator<Item = ColumnType>) -> Table {
    let columns = types
        .into_iter()
        .enumerate()
        .map(|(nth, column_type)| Column {
            name: Cow::Owned(format!("c{nth}")),
            column_type,
            summary: Cow::Borrowed(""),
        })
        .collect();
    Table::new("t", columns)
}

/// Writes one encoded row per table and reads them back as they are.
fn through_a_segment(schema: &Schema, rows: &[Vec<Option<Value<'_>>>]) -> Vec<(usize, Vec<(usize, String)>)> {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), Options::default(), schema, 1).unwrap();
    let mut buffer = Vec::new();
    for (position, (table, values)) in schema.tables().iter().zip(rows).enumerate() {
        let row = Row::encode(&mut buffer, position as u8, table, values).expect("values of their columns");
        assert!(producers[0].push(row));
    }
    spool.close();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let batch = reader.next_batch(1000, 1 << 20).unwrap().expect("rows");
    assert_eq!(batch.schema().tables().len(), schema.tables().len());
    batch
        .rows()
        .map(|row| (row.table_position(), row.values().map(|(at, value)| (at, format!("{value:?}"))).collect()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_value_comes_back_in_its_column(columns in prop::collection::vec(column(), 1..80)) {
        let schema = Schema::new(vec![table(columns.iter().map(|(column_type, _)| column_type.clone()))]).unwrap();
        let values: Vec<_> = columns.iter().map(|(_, value)| value.as_ref().map(Owned::borrow)).collect();
        let expected = values
            .iter()
            .enumerate()
            .filter_map(|(at, value)| value.as_ref().map(|value| (at, format!("{value:?}"))))
            .collect();
        prop_assert_eq!(through_a_segment(&schema, std::slice::from_ref(&values)), vec![(0, expected)]);
    }
}

struct Three;

impl TableMarker for Three {
    const POSITION: u8 = 0;
    const COLUMNS: u16 = 3;
}

const STATUS: Index<Three, kind::UInt16> = Index::new(0);
const PATH: Index<Three, kind::Text> = Index::new(1);
const RULES: Index<Three, kind::Labels> = Index::new(2);

fn three() -> Table {
    table([ColumnType::UInt16, ColumnType::Text, ColumnType::Labels])
}

#[test]
fn the_typed_and_the_dynamic_writer_write_the_same_bytes() {
    let (mut typed, mut dynamic) = (Vec::new(), Vec::new());
    let mut row = RowWriter::<Three>::new(&mut typed);
    row.set(STATUS, 503u16);
    row.set_some(PATH, Some("/\u{fc}ber"));
    row.set(RULES, ["a", "b"].as_slice());
    let labels = Value::Labels(vec![b"a", b"b"]);
    let values = [Some(Value::UInt(503)), Some(Value::Text("/\u{fc}ber".as_bytes())), Some(labels)];
    let encoded = Row::encode(&mut dynamic, 0, &three(), &values).unwrap();
    assert_eq!(row.finish().record(), encoded.record());
}

#[test]
fn a_value_of_another_type_is_refused() {
    let mut buffer = Vec::new();
    for wrong in [Value::Int(1), Value::UInt(65_536), Value::Text(b"1"), Value::Float(1.0), Value::Bool(true)] {
        assert!(Row::encode(&mut buffer, 0, &three(), &[Some(wrong.clone())]).is_none(), "{wrong:?}");
    }
    assert!(Row::encode(&mut buffer, 0, &three(), &[None, None, None, None]).is_none());
}

#[test]
fn long_text_is_cut_at_a_character() {
    let schema = Schema::new(vec![three()]).unwrap();
    // One byte, then three per character: the limit falls within one.
    let text = format!("x{}", "\u{20ac}".repeat(TEXT_LIMIT));
    let read = through_a_segment(&schema, &[vec![None, Some(Value::Text(text.as_bytes()))]]);
    let kept = &text[..TEXT_LIMIT - (TEXT_LIMIT - 1) % 3];
    assert_eq!(read, vec![(0, vec![(1, format!("{:?}", Value::Text(kept.as_bytes())))])]);
}

struct Forty;

impl TableMarker for Forty {
    const POSITION: u8 = 0;
    const COLUMNS: u16 = 40;
}

#[test]
fn a_row_never_outgrows_a_record() {
    let table = table(std::iter::repeat_n(ColumnType::Text, 40));
    let text = vec![b'x'; TEXT_LIMIT];
    let values = vec![Some(Value::Text(&text)); 40];
    assert!(Row::encode(&mut Vec::new(), 0, &table, &values).is_none());

    let mut buffer = Vec::new();
    let mut row = RowWriter::<Forty>::new(&mut buffer);
    for nth in 0..40 {
        row.set(Index::<Forty, kind::Text>::new(nth), text.as_slice());
    }
    assert!(row.finish().record().len() <= spool::MAX_PAYLOAD + 9);
}

#[test]
fn a_block_for_clickhouse_is_laid_out_by_column() {
    let schema = Schema::new(vec![three()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), Options::default(), &schema, 1).unwrap();
    let mut buffer = Vec::new();
    let full = [Some(Value::UInt(0x0102)), Some(Value::Text(b"/a")), Some(Value::Labels(vec![b"r", b"st"]))];
    for values in [&full[..], &[None, Some(Value::Text(b"/bc"))]] {
        assert!(producers[0].push(Row::encode(&mut buffer, 0, &three(), values).unwrap()));
    }
    spool.close();
    let batch = Reader::open(dir.path(), Position::Oldest).unwrap().next_batch(9, 1 << 20).unwrap().unwrap();
    let mut expected = vec![3, 2];
    expected.extend(b"\x02c0\x06UInt16\x02\x01\x00\x00");
    expected.extend(b"\x02c1\x06String\x02/a\x03/bc");
    expected.extend(b"\x02c2\x0dArray(String)\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01r\x02st");
    let block = native_block(&batch, 0).unwrap();
    assert_eq!(block.to_vec(), expected);
    assert_eq!(block.length(), expected.len());
    assert!(native_block(&batch, 1).is_none());
}

#[test]
fn labels_for_clickhouse_are_a_dictionary_and_a_place_in_it_for_each_row() {
    let schema = Schema::new(vec![table([ColumnType::Label])]).unwrap();
    let block = |labels: &[Option<String>]| {
        let dir = tempfile::tempdir().unwrap();
        let (spool, mut producers) = Spool::open(dir.path(), Options::default(), &schema, 1).unwrap();
        let mut buffer = Vec::new();
        for label in labels {
            let value = label.as_ref().map(|label| Value::Text(label.as_bytes()));
            assert!(producers[0].push(Row::encode(&mut buffer, 0, &schema.tables()[0], &[value]).unwrap()));
        }
        spool.close();
        let batch = Reader::open(dir.path(), Position::Oldest).unwrap().next_batch(9999, 1 << 20).unwrap().unwrap();
        let block = native_block(&batch, 0).unwrap();
        assert_eq!(block.length(), block.to_vec().len());
        block.to_vec()
    };
    let of = |text: &str| Some(text.to_owned());
    let mut expected = b"\x01\x06\x02c0\x16LowCardinality(String)\x01\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\0\x06\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01b\0\x02aa");
    expected.extend(b"\x06\0\0\0\0\0\0\0\0\0\x01\x02\0\x01");
    assert_eq!(block(&[of("b"), of("b"), None, of("aa"), of("b"), of("")]), expected);

    // More than a byte can count.
    let many: Vec<_> = (0..=256).map(|number| Some(format!("{number:03}"))).collect();
    let mut expected = b"\x01\x81\x02\x02c0\x16LowCardinality(String)\x01\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\x01\x06\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0");
    expected.extend((0..=256).flat_map(|number| format!("\x03{number:03}").into_bytes()));
    expected.extend(b"\x01\x01\0\0\0\0\0\0");
    expected.extend((0..=256u16).flat_map(u16::to_le_bytes));
    assert_eq!(block(&many), expected);
}

#[test]
fn a_row_reads_as_json() {
    let types = [
        ColumnType::Timestamp,
        ColumnType::Text,
        ColumnType::Json,
        ColumnType::Json,
        ColumnType::Labels,
        ColumnType::Float64,
    ];
    let schema = Schema::new(vec![table(types)]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), Options::default(), &schema, 1).unwrap();
    let values = [
        Some(Value::Timestamp(1_709_210_096_007_000_001)),
        Some(Value::Text(b"\"\xff\n")),
        Some(Value::Json(br#"{"a":[1]}"#)),
        Some(Value::Json(b"{broken")),
        Some(Value::Labels(vec![b"x"])),
        Some(Value::Float(f64::INFINITY)),
    ];
    let mut buffer = Vec::new();
    producers[0].push(Row::encode(&mut buffer, 0, &schema.tables()[0], &values).unwrap());
    spool.close();
    let batch = Reader::open(dir.path(), Position::Oldest).unwrap().next_batch(9, 1 << 20).unwrap().unwrap();
    assert_eq!(
        batch.rows().next().unwrap().json(),
        r#"{"c0":"2024-02-29T12:34:56.007000001Z","c1":"\"�\n","c2":{"a":[1]},"c3":"{broken","c4":["x"],"c5":null}"#
    );
}

#[test]
fn a_schema_that_cannot_be_used_says_why() {
    let refused = |tables| Schema::new(tables).unwrap_err().to_string();
    assert_eq!(refused(vec![]), "unusable spool schema: 0 tables; 1 to 255 are possible");
    assert_eq!(refused(vec![three(), three()]), "unusable spool schema: table t stands twice");
    assert_eq!(refused(vec![table([])]), "unusable spool schema: table t has 0 columns; 1 to 4096 are possible");
    let twice = Table::new("t", vec![Column::new("a", ColumnType::Bool, ""), Column::new("a", ColumnType::Bool, "")]);
    assert_eq!(refused(vec![twice]), "unusable spool schema: table t: column a stands twice");
}
