//! For whom a text of the committee is.

use serde::{Deserialize, Serialize};

use super::rights::{Rights, Role};

/// For whom a text of the committee is: an announcement, an entry of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "for")]
pub enum Audience {
    /// Everybody.
    Everyone,
    /// Students of these groups, and leaders.
    Groups {
        /// Names of groups in `event.toml`.
        groups: Vec<String>,
    },
    /// Approved leaders.
    Leaders,
}

/// Who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Somebody of whom nothing is known, and leaders without approval.
    Anybody,
    /// A student, with the group if there is one.
    Student { group: Option<String> },
    /// An approved leader.
    Leader,
}

impl Reader {
    /// As whom an account with these rights reads. `None` for students: it depends on their group.
    pub fn without_group(rights: &Rights) -> Option<Self> {
        match rights.role {
            Role::Student => None,
            Role::Leader if rights.is_approved_leader() => Some(Self::Leader),
            Role::Leader => Some(Self::Anybody),
        }
    }
}

impl Audience {
    /// Whether the reader belongs to it. Texts for groups are no secret among leaders.
    pub fn includes(&self, reader: &Reader) -> bool {
        match (self, reader) {
            (Self::Everyone, _) | (_, Reader::Leader) => true,
            (Self::Groups { groups }, Reader::Student { group: Some(group) }) => groups.contains(group),
            (Self::Groups { .. } | Self::Leaders, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_without_approval_reads_what_anybody_reads() {
        let waiting = Rights { approved: false, ..Rights::leader([]) };
        assert_eq!(Reader::without_group(&waiting), Some(Reader::Anybody));
        assert_eq!(Reader::without_group(&Rights::leader([])), Some(Reader::Leader));
        assert_eq!(Reader::without_group(&Rights::student()), None);
    }

    #[test]
    fn students_read_what_is_for_them_and_leaders_everything() {
        let groups = Audience::Groups { groups: vec!["Alpha".into()] };
        let student = |group: Option<&str>| Reader::Student { group: group.map(str::to_owned) };
        for (reader, everyone, alpha, leaders) in [
            (Reader::Anybody, true, false, false),
            (student(None), true, false, false),
            (student(Some("Beta")), true, false, false),
            (student(Some("Alpha")), true, true, false),
            (Reader::Leader, true, true, true),
        ] {
            assert_eq!(Audience::Everyone.includes(&reader), everyone, "{reader:?}");
            assert_eq!(groups.includes(&reader), alpha, "{reader:?}");
            assert_eq!(Audience::Leaders.includes(&reader), leaders, "{reader:?}");
        }
    }
}
