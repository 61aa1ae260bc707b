//! Who belongs to an audience, and who may write to it.

use futures_util::{StreamExt, TryStreamExt};

use super::content::{Placeholder, Values};
use super::model::{LeftOut, MailingAudience};
use super::service::Mailings;
use crate::features::accounts::{Account, Approval};
use crate::features::registration::Registration;
use crate::features::students::{
    NotGranted, QueryError, StudentAccess, StudentQuery, are_within_groups, filter_in_words,
};
use crate::kernel::{Audience, FieldError, Invalid, Rights, Role, Scope};
use crate::platform::mail::Suppression;
use crate::platform::store::{Filter, Query, StoreError};

/// People who are read at a time.
const AT_ONCE: usize = 500;

/// Why somebody can't write to an audience.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// A filter or a placeholder needs a field that is not granted.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// Only administrators write to people outside of all reach.
    #[error("the audience needs another scope")]
    ScopeMissing(Scope),
    /// A filter, a search or a placeholder is not understood.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The people of an audience.
pub(super) enum People {
    /// The students with these registrations.
    Students(Filter),
    /// The owners of these accounts.
    Accounts(Filter),
}

/// The people of an audience, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Ids of the accounts that get the mailing.
    pub recipients: Vec<String>,
    pub left_out: LeftOut,
    /// For each placeholder of the mailing, the number of recipients without a value.
    pub without: Vec<(Placeholder, u64)>,
}

impl MailingAudience {
    /// The people whom somebody with these rights may write to.
    pub(super) fn people(&self, rights: &Rights, mailings: &Mailings) -> Result<People, AudienceError> {
        let leaders = || {
            Filter::eq("role", Role::Leader.as_str()).and(Filter::eq("approval", Approval::Approved.as_str()))
        };
        match self {
            Self::Students { search, filters } => {
                let which = StudentQuery {
                    search: search.clone(),
                    filters: filters.clone(),
                    ..StudentQuery::default()
                };
                let filter = which.filter(&StudentAccess::new(rights), mailings.columns());
                Ok(People::Students(filter.map_err(refused)?))
            }
            _ if !rights.is_administrator() => Err(AudienceError::ScopeMissing(Scope::AdminAll)),
            Self::Leaders => Ok(People::Accounts(leaders())),
            Self::Everyone => {
                let students = Filter::eq("role", Role::Student.as_str());
                Ok(People::Accounts(Filter::Or(vec![students, leaders()])))
            }
        }
    }

    /// Whether all of it may read an announcement for these people. Leaders read every announcement.
    fn is_within(&self, announced: &Audience) -> bool {
        match (announced, self) {
            (Audience::Everyone, _) | (_, Self::Leaders) => true,
            (Audience::Groups { groups }, Self::Students { filters, .. }) => {
                are_within_groups(filters, groups)
            }
            (Audience::Groups { .. } | Audience::Leaders, _) => false,
        }
    }

    /// The error of an audience that is wider than that of the announcement which it would get.
    pub(super) fn error_with(&self, announced: &Audience) -> Option<FieldError> {
        let detail = match announced {
            Audience::Groups { groups } => {
                let groups: Vec<_> = groups.iter().map(|group| group.replace('|', r"\|")).collect();
                let groups = groups.join("|");
                format!(
                    "The announcement is for some groups. Add the filter `group:in:{groups}`, or write to leaders."
                )
            }
            _ => "The announcement is for leaders. Write to leaders.".into(),
        };
        (!self.is_within(announced))
            .then(|| FieldError::new("/audience", "wider-than-the-announcement", detail))
    }

    /// The audience for the audit log, without values that are about a person.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Students { search, filters } => {
                let search = search.as_ref().map(|_| "search".to_owned());
                let parts: Vec<_> =
                    filters.iter().map(|filter| filter_in_words(filter)).chain(search).collect();
                format!("students {}", parts.join(" ")).trim_end().to_owned()
            }
            Self::Leaders => "leaders".into(),
            Self::Everyone => "everyone".into(),
        }
    }
}

fn refused(error: QueryError) -> AudienceError {
    match error {
        QueryError::NotGranted(error) => error.into(),
        QueryError::Invalid(parameter, detail) => {
            let pointer = if parameter == "search" { "/audience/search" } else { "/audience/filters" };
            Invalid::from(FieldError::new(pointer, "not-understood", detail)).into()
        }
    }
}

/// Checks that every placeholder can be used.
pub(super) fn check_grants(rights: &Rights, used: &[Placeholder]) -> Result<(), NotGranted> {
    let ungranted = used.iter().filter_map(|used| used.grant()).find(|field| !rights.may_read(field));
    ungranted.map_or(Ok(()), |field| Err(NotGranted(field.to_string())))
}

impl Mailings {
    /// The people of the audience whom somebody with these rights may write to, read some at a time. Only their ids are
    /// kept.
    pub(super) async fn counted(
        &self,
        rights: &Rights,
        audience: &MailingAudience,
        used: &[Placeholder],
    ) -> Result<Counted, AudienceError> {
        check_grants(rights, used)?;
        let mut counted =
            Counted { without: used.iter().map(|used| (*used, 0)).collect(), ..Counted::default() };
        match audience.people(rights, self)? {
            People::Students(filter) => {
                let mut students = self.store.stream::<Registration>(filter).try_chunks(AT_ONCE).boxed();
                while let Some(students) = students.try_next().await.map_err(|error| error.1)? {
                    let ids = students.iter().map(|student| student.id.as_str());
                    let accounts = self.accounts(ids).await?;
                    self.count(&mut counted, &accounts, &students).await?;
                }
            }
            People::Accounts(filter) => {
                let needs_form = used.iter().any(|used| used.is_of_registration());
                let mut accounts = self.store.stream::<Account>(filter).try_chunks(AT_ONCE).boxed();
                while let Some(accounts) = accounts.try_next().await.map_err(|error| error.1)? {
                    let ids = accounts.iter().map(|account| account.id.as_str());
                    let students = if needs_form { self.registrations(ids).await? } else { vec![] };
                    self.count(&mut counted, &accounts, &students).await?;
                }
            }
        }
        Ok(counted)
    }

    /// Counts these people, both in the order of their ids.
    async fn count(
        &self,
        counted: &mut Counted,
        accounts: &[Account],
        students: &[Registration],
    ) -> Result<(), StoreError> {
        let keys: Vec<_> = accounts.iter().map(|account| account.email_key.as_str().into()).collect();
        let limit = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let listed = Query::new(Filter::In("addressKey".into(), keys)).limit(limit);
        let suppressed: Vec<Suppression> = self.store.find(listed).await?;
        for account in accounts {
            if account.unsubscribed_at.is_some() {
                counted.left_out.unsubscribed += 1;
            } else if suppressed.iter().any(|entry| entry.address_key == account.email_key) {
                counted.left_out.suppressed += 1;
            } else {
                let student = students.binary_search_by(|student| student.id.as_str().cmp(&account.id)).ok();
                let values = Values::of(account, student.map(|place| &students[place]));
                for (placeholder, without) in &mut counted.without {
                    *without += u64::from(values.get(*placeholder).is_none());
                }
                counted.recipients.push(account.id.clone());
            }
        }
        Ok(())
    }

    /// These accounts.
    pub(super) async fn accounts(&self, ids: impl Iterator<Item = &str>) -> Result<Vec<Account>, StoreError> {
        let ids = ids.map(Into::into).collect();
        self.store.find(Query::new(Filter::In("id".into(), ids)).limit(AT_ONCE as u32)).await
    }

    /// The registrations of these accounts, in the order of their ids.
    pub(super) async fn registrations(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<Registration>, StoreError> {
        let ids = ids.map(Into::into).collect();
        self.store.find(Query::new(Filter::In("id".into(), ids)).limit(AT_ONCE as u32)).await
    }
}
