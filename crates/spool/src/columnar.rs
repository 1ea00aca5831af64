//! stub
use crate::{Batch, Schema};
/// stub
pub fn native_block(_batch: &Batch, _schema: &Schema, _table: usize) -> Vec<u8> { Vec::new() }
