//! What somebody meant who wrote a name that there is not: the known name that is most like it.
//!
//! Every room that refuses a name by its spelling suggests another by this one, so that a typing error is mended in the same
//! words everywhere.

/// The candidate that is most like what was written in either case of letters, if any is like it at all: a third of its
/// letters may differ.
pub fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase();
    candidates
        .filter_map(|candidate| {
            let most = candidate.len().max(lower.len()) / 3;
            let distance = edit_distance(&lower, &candidate.to_lowercase(), most)?;
            Some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text the other (optimal string alignment),
/// `None` where there are more than `most`. An editor asks this of each unknown name in a text and each name of the
/// language, and nearly all of them are given up after a few letters.
fn edit_distance(from: &str, to: &str, most: usize) -> Option<usize> {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    let too_many = most + 1;
    let mut before_last = vec![too_many; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut row = vec![too_many; to.len() + 1];
    for i in 1..=from.len() {
        row.fill(too_many);
        // Farther from the diagonal there are more insertions or deletions than may be.
        for j in i.saturating_sub(most)..=to.len().min(i + most) {
            if j == 0 {
                row[0] = i;
                continue;
            }
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        if row.iter().chain(&last).all(|distance| *distance > most) {
            return None;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    Some(last[to.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_swaps_as_one() {
        assert_eq!(edit_distance("http.hots", "http.host", 9), Some(1));
        assert_eq!(edit_distance("", "abc", 3), Some(3));
        assert_eq!(edit_distance("abc", "", 3), Some(3));
        assert_eq!(edit_distance("same", "same", 0), Some(0));
        assert_eq!(edit_distance("kitten", "sitting", 5), Some(3));
        assert_eq!(edit_distance("ba", "ab", 1), Some(1));
    }

    #[test]
    fn a_distance_is_told_up_to_the_most_and_not_beyond() {
        for (from, to) in [("kitten", "sitting"), ("lower", "lwoer_"), ("ip.src", "cf.edge"), ("", "a"), ("a", "bcdef")]
        {
            let whole = edit_distance(from, to, 9).unwrap();
            for most in 0..9 {
                let expected = (whole <= most).then_some(whole);
                assert_eq!(edit_distance(from, to, most), expected, "{from} {to} {most}");
                assert_eq!(edit_distance(to, from, most), expected, "{to} {from} {most}");
            }
        }
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        assert_eq!(nearest("Lowr", ["lower", "upper"].into_iter()).as_deref(), Some("lower"));
        assert_eq!(nearest("lowr", ["Lower", "Upper"].into_iter()).as_deref(), Some("Lower"));
        assert_eq!(nearest("entirely_else", ["lower", "upper"].into_iter()), None);
    }
}
