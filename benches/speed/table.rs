//! The table of figures.

use std::fmt;

/// Rows with the measurement, its result and the aim.
pub struct Table(comfy_table::Table);

impl Table {
    pub fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY)
            .set_header(["measured", "figure", "aim"]);
        Self(table)
    }

    /// Adds a row and prints it at once, because a run takes minutes.
    pub fn row(&mut self, what: &str, figure: impl Into<String>, aim: &str) {
        let figure = figure.into();
        eprintln!("{what}: {figure}");
        self.0.add_row([what, &figure, aim]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
