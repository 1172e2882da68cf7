/// A set that is filled often with what it has already: a list that is sorted whenever it has doubled.
pub(super) struct Seen<T> {
    list: Vec<T>,
    /// How long it may get before it is sorted.
    most: usize,
}

/// It is sorted at this length for the first time.
const FIRST: usize = 1 << 12;

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            most: FIRST,
        }
    }
}

impl<T: Copy + Ord> Seen<T> {
    pub(super) fn add(&mut self, item: T) {
        if self.list.last() == Some(&item) {
            return;
        }
        self.list.push(item);
        if self.list.len() >= self.most {
            self.sort();
            self.most = FIRST.max(2 * self.list.len());
        }
    }

    /// How many there are at most.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn into_sorted(mut self) -> Vec<T> {
        self.sort();
        self.list
    }

    fn sort(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Seen};

    #[test]
    fn what_is_there_already_takes_no_memory() {
        let mut seen = Seen::default();
        for number in 0..100 * FIRST {
            seen.add(number % 7);
        }
        assert!(seen.len() <= FIRST, "{}", seen.len());
        assert_eq!(seen.into_sorted(), [0, 1, 2, 3, 4, 5, 6]);
        let mut seen = Seen::default();
        for number in (0..10 * FIRST).rev() {
            seen.add(number);
        }
        assert!(seen.into_sorted().into_iter().eq(0..10 * FIRST));
    }
}
