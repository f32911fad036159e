//! The watcher's side: offsets are compared, lag is measured.

use super::{Check, Gone, Partition, Position, Stream};

impl Stream {
    /// Whether this assignment still holds, and the first offset that arrived in it.
    ///
    /// # Errors
    /// [`Gone`] where it does not.
    pub(in super::super) fn first_of(&self, check: &Check) -> Result<Option<i64>, Gone> {
        let state = self.state();
        let partition = state.partitions.get(&check.partition).ok_or(Gone)?;
        if partition.generation == check.generation { Ok(partition.first) } else { Err(Gone) }
    }

    /// The comparison was made (and told): offsets may be stored. `committed` is where this assignment
    /// begins.
    pub(in super::super) fn checked(&self, check: &Check, committed: Option<i64>) {
        let mut state = self.state();
        if let Some(partition) = state.partitions.get_mut(&check.partition)
            && partition.generation == check.generation
        {
            partition.checked = true;
            partition.expected = partition.expected.or(committed);
            partition.stored = partition.stored.or(committed);
        }
    }

    pub(in super::super) fn positions(&self) -> Vec<Position> {
        let state = self.state();
        let position = |(id, p): (&i32, &Partition)| {
            let (partition, generation) = (*id, p.generation);
            p.checked.then_some(Position { partition, generation, expected: p.expected })
        };
        state.partitions.iter().filter_map(position).collect()
    }

    /// The broker's watermarks of a partition.
    pub(in super::super) fn measured(&self, position: &Position, low: i64, high: i64) {
        let mut state = self.state();
        if let Some(partition) = state.partitions.get_mut(&position.partition)
            && partition.generation == position.generation
        {
            let next = partition.accepted.or(partition.stored).unwrap_or(low).max(low);
            partition.lag = Some((high - next).max(0));
        }
    }

    /// The broker's log ends before what should arrive next: it was told, and the numbers begin again.
    pub(in super::super) fn begin_again(&self, position: &Position) {
        let mut state = self.state();
        state.generations += 1;
        let generation = state.generations;
        if let Some(partition) = state.partitions.get_mut(&position.partition)
            && partition.generation == position.generation
        {
            partition.begin_again(generation);
        }
    }

    /// Nothing before `low` will arrive any more: it was told.
    pub(in super::super) fn skip_to(&self, position: &Position, low: i64) {
        let mut state = self.state();
        if let Some(partition) = state.partitions.get_mut(&position.partition)
            && partition.generation == position.generation
        {
            partition.expected = partition.expected.max(Some(low));
        }
    }
}
