//! Tables for people.

use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};

/// An empty table with a head and no frame, as wide as its content.
pub fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    table
}
