//! The guest's memory as a migration sees it: which cells wait to be sent, and what the dirty log holds.

use crate::units::{Bytes, Pages};

/// At most so many cells; larger guests get larger cells.
const MOST_CELLS: u64 = 1 << 18;

/// Memory in cells.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    cell: Bytes,
    cells: usize,
    first_zero: usize,
    /// What is left of the pass under way: flags, how many, and from where on.
    in_pass: Vec<bool>,
    left_in_pass: usize,
    cursor: usize,
    /// What the next pass will send; none of it waits in this pass.
    in_next: Vec<bool>,
    next: Vec<u32>,
    log: Log,
    window: Log,
}

/// Distinct cells, and by whom each was written first.
#[derive(Clone, Debug)]
struct Log {
    held: Vec<bool>,
    cells: Vec<(u32, u16)>,
}

impl Log {
    fn new(cells: usize) -> Self {
        Self { held: vec![false; cells], cells: Vec::new() }
    }

    fn add(&mut self, cell: u32, vcpu: u16) {
        if let Some(held) = self.held.get_mut(cell as usize)
            && !std::mem::replace(held, true)
        {
            self.cells.push((cell, vcpu));
        }
    }

    fn take(&mut self) -> Vec<(u32, u16)> {
        for (cell, _) in &self.cells {
            self.held[*cell as usize] = false;
        }
        std::mem::take(&mut self.cells)
    }
}

/// What reading the dirty log gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) dirtied: Pages,
    pub(super) newly_dirty: Pages,
    pub(super) by_vcpu: Vec<Pages>,
    pub(super) in_window: Pages,
}

impl Memory {
    /// Every cell waits to be sent.
    pub(super) fn new(memory: Bytes, zero: Bytes) -> Self {
        let pages = (memory.0 / crate::units::PAGE_SIZE).max(1);
        let cell = Pages(pages.div_ceil(MOST_CELLS)).bytes();
        let cells = usize::try_from(memory.0.div_ceil(cell.0)).unwrap_or(usize::MAX).max(1);
        let zero = usize::try_from(zero.0 / cell.0).unwrap_or(usize::MAX);
        Self {
            cell,
            cells,
            first_zero: cells.saturating_sub(zero),
            in_pass: vec![true; cells],
            left_in_pass: cells,
            cursor: 0,
            in_next: vec![false; cells],
            next: Vec::new(),
            log: Log::new(cells),
            window: Log::new(cells),
        }
    }

    pub(super) fn cell(&self) -> Bytes {
        self.cell
    }

    pub(super) fn cell_pages(&self) -> Pages {
        self.cell.whole_pages()
    }

    fn pages(&self, cells: usize) -> Pages {
        Pages(cells as u64 * self.cell_pages().0)
    }

    /// A vCPU writes to a cell.
    pub(super) fn write(&mut self, cell: u64, vcpu: u16) {
        let Ok(cell) = u32::try_from(cell) else { return };
        if (cell as usize) < self.cells {
            self.log.add(cell, vcpu);
        }
    }

    /// The next cell of the pass: whether it holds only zeros.
    pub(super) fn peek(&mut self) -> Option<bool> {
        if self.left_in_pass == 0 {
            return None;
        }
        while !self.in_pass[self.cursor] {
            self.cursor = (self.cursor + 1) % self.cells;
        }
        Some(self.cursor >= self.first_zero)
    }

    /// The cell that [`Self::peek`] spoke of has left.
    pub(super) fn sent(&mut self) {
        self.in_pass[self.cursor] = false;
        self.left_in_pass -= 1;
    }

    /// Reads the dirty log.
    pub(super) fn read_log(&mut self, vcpus: usize) -> Reading {
        let cells = self.log.take();
        let mut by_vcpu = vec![0; vcpus];
        let mut newly = 0;
        for (cell, vcpu) in &cells {
            let index = *cell as usize;
            if let Some(count) = by_vcpu.get_mut(usize::from(*vcpu)) {
                *count += 1;
            }
            // What still waits in this pass will leave with what it holds then, and need not leave twice.
            if !self.in_pass[index] && !std::mem::replace(&mut self.in_next[index], true) {
                self.next.push(*cell);
                newly += 1;
            }
            self.window.add(*cell, *vcpu);
        }
        Reading {
            dirtied: self.pages(cells.len()),
            newly_dirty: self.pages(newly),
            by_vcpu: by_vcpu.into_iter().map(|cells| self.pages(cells)).collect(),
            in_window: self.pages(self.window.cells.len()),
        }
    }

    /// Begins to count distinct cells anew.
    pub(super) fn restart_window(&mut self) {
        self.window.take();
    }

    /// What is left of this pass joins what the next was to send. The walk goes on where it is: were it to begin
    /// at the front each time, what a pass left at the end would never leave.
    pub(super) fn begin_pass(&mut self) {
        for cell in self.next.drain(..) {
            let index = cell as usize;
            self.in_next[index] = false;
            if !std::mem::replace(&mut self.in_pass[index], true) {
                self.left_in_pass += 1;
            }
        }
    }

    /// What is left of the pass under way.
    pub(super) fn left_in_pass(&self) -> Pages {
        self.pages(self.left_in_pass)
    }

    /// All that is known to be dirty.
    pub(super) fn remaining(&self) -> Pages {
        self.pages(self.left_in_pass + self.next.len())
    }
}
