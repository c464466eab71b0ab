//! Where indices lead in a sequence.

/// The place of an index, if there is one; negative indices count from the end.
pub(super) fn place(index: i64, length: usize) -> Option<usize> {
    let place = from_start(index, length);
    usize::try_from(place).ok().filter(|place| *place < length)
}

/// The place of an index that is the bound of a slice.
pub(super) fn clamped(index: i64, length: usize) -> usize {
    usize::try_from(from_start(index, length)).unwrap_or(0).min(length)
}

fn from_start(index: i64, length: usize) -> i64 {
    // A sequence in memory is shorter than that.
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if index < 0 { index.saturating_add(length) } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_count_from_either_end() {
        let places = [0, 2, 3, -1, -3, -4, i64::MIN, i64::MAX].map(|index| place(index, 3));
        let expected = [Some(0), Some(2), None, Some(2), Some(0), None, None, None];
        assert_eq!(places, expected);
        let bounds = [0, 2, 3, 9, -1, -4, i64::MIN, i64::MAX].map(|index| clamped(index, 3));
        assert_eq!(bounds, [0, 2, 3, 3, 2, 0, 0, 3]);
    }
}
