//! Who stays in a group because of a friend. Pure.

use std::collections::HashMap;

/// A student with their wishes.
#[derive(Clone, Debug, Default)]
pub struct Friend {
    /// Key of the student's address ([`EmailAddress::key`](crate::kernel::EmailAddress::key)). `None` if it isn't known.
    pub address: Option<String>,
    /// Keys of the addresses that the student named.
    pub named: Vec<String>,
    /// Name of the student's group.
    pub group: String,
}

/// For each student: whether another one of the same group was named by them and named them, too.
pub fn have_friends(students: &[Friend]) -> Vec<bool> {
    let by_address: HashMap<&str, &Friend> =
        students.iter().filter_map(|student| Some((student.address.as_deref()?, student))).collect();
    let is_friend = |student: &Friend, key: &String| {
        by_address.get(key.as_str()).is_some_and(|other| {
            other.group == student.group
                && student.address.as_ref().is_some_and(|own| own != key && other.named.contains(own))
        })
    };
    students.iter().map(|student| student.named.iter().any(|key| is_friend(student, key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn student(name: &str, named: &[&str], group: &str) -> Friend {
        let key = |name: &str| format!("{name}@example.org");
        Friend {
            address: Some(key(name)),
            named: named.iter().map(|name| key(name)).collect(),
            group: group.into(),
        }
    }

    #[test]
    fn friends_name_each_other_and_are_in_one_group() {
        let students = [
            student("ana", &["bo", "cy"], "A"),
            student("bo", &["ana"], "A"),
            student("cy", &[], "A"),
            student("di", &["ed"], "A"),
            student("ed", &["di"], "B"),
            student("flo", &["flo", "gus"], "B"),
        ];
        assert_eq!(have_friends(&students), [true, true, false, false, false, false]);
    }

    #[test]
    fn a_student_whose_address_is_not_known_has_no_friends() {
        let unknown = Friend { address: None, named: vec!["bo@example.org".into()], group: "A".into() };
        assert_eq!(have_friends(&[unknown, student("bo", &[], "A")]), [false, false]);
    }
}
