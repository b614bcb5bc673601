use super::*;

const BRIEF: Duration = Duration::from_secs(5);

#[test]
fn a_brief_place_is_free_for_others_when_its_time_is_over() {
    let mut held = HeldPlaces::default();
    let end = Duration::from_secs(9);
    held.add(Kind::Brief(end));
    held.add(Kind::Brief(end + BRIEF));
    assert_eq!(held.others(Kind::Own, Duration::from_secs(8)), 2);
    assert_eq!(held.others(Kind::Own, end), 1);
    held.give_back(Kind::Brief(end));
    assert_eq!(held.others(Kind::Own, end), 1);
    held.give_back(Kind::Brief(end + BRIEF));
    assert!(held.is_empty());
}
