//! Lines to feed, and where they go.

/// A line that no plugin takes offence at.
pub(crate) fn good(number: usize) -> String {
    format!("good {number:04}")
}

/// Good records with some others at these places.
pub(crate) fn with(others: &[(usize, &str)], records: usize) -> Vec<String> {
    let mut lines: Vec<_> = (0..records).map(good).collect();
    for (place, line) in others {
        (*line).clone_into(&mut lines[*place]);
    }
    lines
}

/// The file of these lines.
pub(crate) fn input(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

/// The file that gives each partition its lines, of which all have equally many: a feed deals them out in turn.
pub(crate) fn dealt(partitions: &[Vec<String>]) -> Vec<u8> {
    assert!(partitions.iter().all(|lines| lines.len() == partitions[0].len()), "equally many");
    let turns =
        (0..partitions[0].len()).flat_map(|nth| partitions.iter().map(move |lines| lines[nth].clone()));
    input(&turns.collect::<Vec<_>>())
}
