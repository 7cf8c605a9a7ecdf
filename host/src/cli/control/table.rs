//! Aligned columns.

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a head, the columns two spaces apart.
///
/// A row may have fewer cells than the head; its last one is then a remark, which may be wider than its column.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// Each line ends in a newline and in no space.
    pub(super) fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let head: Vec<_> = self.columns.iter().map(|(name, _)| String::from(*name)).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let remark = self.is_remark(row, column);
                match self.columns[column].1 {
                    Align::Right if !remark => line += &format!("{pad}{cell}"),
                    _ => line += &format!("{cell}{pad}"),
                }
                line += "  ";
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let rows = self.rows.iter().filter(|row| !self.is_remark(row, column));
        let cells = rows.filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([self.columns[column].0.len()]).max().unwrap_or_default()
    }

    fn is_remark(&self, row: &[String], column: usize) -> bool {
        row.len() < self.columns.len() && column + 1 == row.len()
    }
}

/// A text without what could steer a terminal: plugins choose their names, and records what errors quote.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            cleaned.extend(character.escape_default());
        } else {
            cleaned.push(character);
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_remarks_run_over() {
        let mut table =
            Table::new(&[("topic", Align::Left), ("last", Align::Right), ("pause", Align::Right)]);
        table.row([String::from("a"), String::from("7"), String::from("1.5 ms")]);
        table.row([String::from("été"), String::from("12345"), String::new()]);
        table.row([String::from("b"), String::from("idle, new from 88")]);
        assert_eq!(
            table.text(),
            "topic   last   pause\na          7  1.5 ms\nété    12345\nb      idle, new from 88\n"
        );
    }

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc"), "a\\u{1b}[2Jb\\r\nc");
    }
}
