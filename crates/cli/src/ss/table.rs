//! Columns that fit what is in them, without having seen all of it: a batch of lines at a time.

/// Lines that share their widths. Enough that a screen looks even, few enough that memory does not count.
const BATCH_MAX: usize = 1024;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    right: bool,
    /// What separates it from the next.
    gap: &'static str,
}

impl Column {
    pub(super) const fn left(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            gap: " ",
        }
    }

    /// An address, which the port follows at once.
    pub(super) const fn address(title: &'static str) -> Self {
        Self {
            title,
            right: true,
            gap: "",
        }
    }
}

/// A line of the table, and text below it that belongs to it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) below: String,
}

/// A table that is written while it grows.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// They never shrink, so that the batches look alike.
    widths: Vec<usize>,
    rows: Vec<Row>,
    header: bool,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>, header: bool) -> Self {
        let titles = columns.iter().map(|it| it.title.len());
        Self {
            widths: titles.map(|width| if header { width } else { 0 }).collect(),
            columns,
            rows: Vec::new(),
            header,
        }
    }

    /// Adds a line; returns text that is ready to be written, now and then.
    pub(super) fn push(&mut self, row: Row) -> Option<String> {
        self.rows.push(row);
        (self.rows.len() >= BATCH_MAX).then(|| self.take())
    }

    /// What has not been returned yet; the titles too, if they have not.
    pub(super) fn take(&mut self) -> String {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(&row.cells) {
                *width = cell.len().max(*width);
            }
        }
        let mut text = String::new();
        if std::mem::take(&mut self.header) {
            let titles: Vec<_> = self.columns.iter().map(|it| it.title).collect();
            self.line(&mut text, &titles);
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(&mut text, &row.cells);
            text.push_str(&row.below);
        }
        text
    }

    fn line(&self, text: &mut String, cells: &[impl AsRef<str>]) {
        for ((column, width), cell) in self.columns.iter().zip(&self.widths).zip(cells) {
            let cell = cell.as_ref();
            let padding = " ".repeat(width.saturating_sub(cell.len()));
            let (before, after) = match column.right {
                true => (padding.as_str(), ""),
                false => ("", padding.as_str()),
            };
            for part in [before, cell, after, column.gap] {
                text.push_str(part);
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: &str, port: &str) -> Row {
        Row {
            cells: vec![address.to_owned(), port.to_owned()],
            below: String::new(),
        }
    }

    fn table(header: bool) -> Table {
        let columns = vec![Column::address("Address:"), Column::left("Port")];
        Table::new(columns, header)
    }

    #[test]
    fn batches_keep_their_widths_and_titles_come_once() {
        let mut table = table(true);
        let mut ready = Vec::new();
        for _ in 0..=BATCH_MAX {
            ready.extend(table.push(row("[2001:db8::1]:", "80")));
        }
        assert_eq!(ready.len(), 1, "a batch, as soon as it is full");
        ready.push(table.take());
        let text = ready.concat();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("      Address:Port"));
        assert_eq!(lines.clone().count(), BATCH_MAX + 1);
        assert!(lines.all(|line| line == "[2001:db8::1]:80"));

        assert_eq!(table.take(), "", "nothing is left");
        table.push(row("*:", "80"));
        assert_eq!(table.take(), "            *:80\n");
    }

    #[test]
    fn without_titles_columns_are_as_wide_as_what_is_in_them() {
        let mut table = table(false);
        table.push(row("*:", "80"));
        assert_eq!(table.take(), "*:80\n");
        assert_eq!(
            Table::new(vec![Column::left("Title")], true).take(),
            "Title\n"
        );
    }
}
