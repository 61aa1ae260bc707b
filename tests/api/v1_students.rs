//! `/v1/students`: who reads what of whom.
//!
//! The rules are held by a slow model, written apart: it decides from the plain data which students and which values a
//! caller may see, and in which order, and every response must equal that.

use std::collections::{BTreeMap, BTreeSet};

use orientation::features::groups::GroupBook;
use orientation::features::registration::{Form, Registration};
use orientation::kernel::{Clock, EmailAddress, Reach, Role, Scope, StudentField, Timestamp};
use orientation::platform::audit::AuditEntry;
use orientation::platform::store::{Filter, Query, StoreError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization;

use crate::support::{NO_ID, TestApp, Visitor, form, new_student_id, reaches_all_of};

/// A student as the test knows it.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    group: &'static str,
    registered: bool,
    email: String,
    preferred_name: Option<&'static str>,
    form: Value,
}

const NAMES: [&str; 10] = [
    "José García",
    "Josefine Gardner",
    "ＪＯＳＥ Ｇａｒｃｉａ",
    "Zoë O’Brien",
    "Łukasz Kowalski",
    "成 洪",
    "Jean-Luc Picard",
    "Ana Silva",
    "ana silva",
    "نور الهدى",
];
const GROUPS: [&str; 3] = ["Alpha", "Beta", "Iota"];
const SIZES: [&str; 3] = ["S", "M", "3XL"];
const DISCIPLINES: [&str; 3] = ["Civil", "Chemical", "Electrical & Computer"];

/// A random student. Few values, so that ties and matches are common.
fn a_student(random: &mut fastrand::Rng, number: usize) -> Known {
    let mut filled = form(&format!("st{number:05}"));
    filled["legalName"] = NAMES[random.usize(..NAMES.len())].into();
    filled["shirtSize"] = SIZES[random.usize(..3)].into();
    filled["discipline"] = DISCIPLINES[random.usize(..3)].into();
    filled["birthDate"] = format!("200{}-0{}-11", random.u8(5..9), random.u8(1..9)).into();
    filled["photoConsent"] = random.bool().into();
    filled["dietary"] = ["Vegan", "Halal", "Nut allergy"][..random.usize(..4)].into();
    for (name, value) in [("medication", "Insulin"), ("accessibility", "A ramp"), ("dietaryOther", "no fish")]
    {
        filled[name] = if random.bool() { value.into() } else { Value::Null };
    }
    Known {
        id: format!("019f0000-0000-7000-8000-{number:012}"),
        group: GROUPS[random.usize(..3)],
        registered: random.u8(..4) > 0,
        email: format!("{}{number}@mail.example.edu", ["jo", "ana", "zoe"][random.usize(..3)]),
        preferred_name: random.bool().then_some("Pepe"),
        form: filled,
    }
}

impl Known {
    /// The document as the service would have stored it.
    fn document(&self) -> Registration {
        let now = Timestamp::from_millis(1_788_246_000_000);
        let mut filled = self.form.clone();
        filled.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let form: Form = serde_json::from_value(filled).expect("a form");
        let mut document = Registration::submit(&self.id, form.clone(), self.group.into(), "order", now);
        document.email = Some(EmailAddress::parse(&self.email).expect("an address"));
        document.preferred_name = self.preferred_name.map(str::to_owned);
        document.set_form(form);
        if self.registered {
            document.register(now);
        }
        document
    }

    /// The value of a column, by its dotted name.
    fn value(&self, column: &str) -> Value {
        match column {
            "id" => self.id.as_str().into(),
            "group" => self.group.into(),
            "state" => if self.registered { "registered" } else { "submitted" }.into(),
            "email" => self.email.as_str().into(),
            "preferredName" => json!(self.preferred_name),
            "submittedAt" => "2026-09-01T07:00:00.000Z".into(),
            "registeredAt" if self.registered => "2026-09-01T07:00:00.000Z".into(),
            "registeredAt" => Value::Null,
            name => self.form.pointer(&format!("/{}", name.replace('.', "/"))).cloned().unwrap_or_default(),
        }
    }
}

async fn store_all(app: &TestApp, students: &[Known]) {
    for some in students.chunks(50) {
        let documents: Vec<_> = some.iter().map(Known::document).collect();
        let stored: Result<(), StoreError> =
            app.store.transact(async |tx| tx.put_all(&documents.iter().collect::<Vec<_>>()).await).await;
        stored.expect("stored");
    }
}

/// The columns of the shipped event that the tests use, and the field that must be granted for each.
const COLUMNS: [(&str, &str); 22] = [
    ("id", ""),
    ("group", ""),
    ("state", ""),
    ("email", "email"),
    ("preferredName", "preferredName"),
    ("registeredAt", "registeredAt"),
    ("legalName", "legalName"),
    ("birthDate", "birthDate"),
    ("studentId", "studentId"),
    ("discipline", "discipline"),
    ("shirtSize", "shirtSize"),
    ("phone", "phone"),
    ("emergencyContact.name", "emergencyContact"),
    ("emergencyContact.relationship", "emergencyContact"),
    ("emergencyContact.phone", "emergencyContact"),
    ("medication", "medication"),
    ("dietary", "dietary"),
    ("dietaryOther", "dietaryOther"),
    ("accessibility", "accessibility"),
    ("joinsHunt", "joinsHunt"),
    ("summerCity", "summerCity"),
    ("photoConsent", "photoConsent"),
];

/// What a caller was granted.
#[derive(Clone, Debug, Default)]
struct Grants {
    fields: BTreeSet<&'static str>,
    groups: BTreeSet<&'static str>,
    unregistered: bool,
}

impl Grants {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut fields: BTreeSet<_> = COLUMNS.iter().map(|(_, field)| *field).collect();
        fields.retain(|field| !field.is_empty() && random.u8(..3) > 0);
        let groups = GROUPS.into_iter().filter(|_| random.u8(..3) > 0).collect();
        Self { fields, groups, unregistered: random.bool() }
    }

    /// A leader who was granted this.
    async fn leader(&self, app: &TestApp) -> Visitor {
        let leader = app.leader().await;
        app.change(&leader, |account| {
            account.student_fields =
                self.fields.iter().map(|name| StudentField::parse(name).expect("a field")).collect();
            account.reach = self.groups.iter().map(|name| Reach::Group((*name).into())).collect();
            account.scopes = self.unregistered.then_some(Scope::StudentsUnregistered).into_iter().collect();
        })
        .await;
        leader
    }

    fn may_read(&self, column: &str) -> bool {
        let (_, field) = COLUMNS.iter().find(|(name, _)| *name == column).expect("a column");
        field.is_empty() || self.fields.contains(field)
    }

    fn sees(&self, student: &Known) -> bool {
        self.groups.contains(student.group) && (student.registered || self.unregistered)
    }
}

/// A request, and what it means.
#[derive(Clone, Debug, Default)]
struct Asked {
    search: Option<&'static str>,
    filters: Vec<(&'static str, &'static str, String)>,
    sort: Option<(&'static str, bool)>,
    fields: Vec<&'static str>,
}

impl Asked {
    fn random(random: &mut fastrand::Rng) -> Self {
        let searches = [
            "jose gar",
            "GARC jos",
            "zoe",
            "obrien",
            "o'b",
            "luk",
            "洪",
            "picard luc",
            "ana1",
            "st0000",
            "pepe",
            "-",
            "نور",
        ];
        let filters = (0..random.usize(..3)).map(|_| Self::filter(random)).collect();
        let mut column = || COLUMNS[random.usize(..COLUMNS.len())].0;
        let (sort, fields) = (column(), [column(), column(), column()]);
        Self {
            search: random.bool().then(|| searches[random.usize(..searches.len())]),
            filters,
            sort: (random.u8(..3) > 0).then(|| (sort, random.bool())),
            fields: fields[..random.usize(..4)].to_vec(),
        }
    }

    fn filter(random: &mut fastrand::Rng) -> (&'static str, &'static str, String) {
        let all = [
            ("shirtSize", "eq", "M"),
            ("shirtSize", "in", "S|3XL"),
            ("discipline", "contains", "ELECTRICAL"),
            ("dietary", "contains", "Nut allergy"),
            ("dietary", "in", "Vegan|Kosher"),
            ("dietary", "exists", "false"),
            ("medication", "exists", "true"),
            ("accessibility", "contains", "RAMP"),
            ("birthDate", "from", "2006-03-11"),
            ("birthDate", "to", "2006-03-11"),
            ("photoConsent", "eq", "true"),
            ("group", "eq", "Beta"),
            ("state", "eq", "submitted"),
            ("email", "contains", "JO"),
            ("preferredName", "exists", "false"),
            ("studentId", "eq", "ST00003"),
            ("emergencyContact.name", "contains", "GARC"),
            ("registeredAt", "exists", "true"),
        ];
        let (column, operator, value) = all[random.usize(..all.len())];
        (column, operator, value.to_owned())
    }

    fn query(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let search = self.search.iter().map(|words| format!("search={}", encoded(words)));
        let filters = self.filters.iter().map(|(column, operator, value)| {
            format!("filter={}", encoded(&format!("{column}:{operator}:{value}")))
        });
        let sort =
            self.sort.iter().map(|(column, down)| format!("sort={}{column}", if *down { "-" } else { "" }));
        let fields = self.fields.iter().map(|column| format!("fields={column}"));
        search.chain(filters).chain(sort).chain(fields).collect::<Vec<_>>().join("&")
    }

    /// Whether everything that is named may be read.
    fn is_granted(&self, grants: &Grants) -> bool {
        let named = self.filters.iter().map(|(column, ..)| *column);
        let named = named.chain(self.sort.map(|(column, _)| column)).chain(self.fields.iter().copied());
        let searched = ["legalName", "preferredName", "email", "studentId"];
        let can_search = self.search.is_none() || searched.iter().any(|field| grants.may_read(field));
        can_search && named.into_iter().all(|column| grants.may_read(column))
    }

    /// The students who must be returned, in their order.
    fn expected<'k>(&self, grants: &Grants, students: &'k [Known]) -> Vec<&'k Known> {
        let mut found: Vec<_> =
            students.iter().filter(|student| grants.sees(student) && self.matches(grants, student)).collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        if let Some((column, down)) = self.sort {
            let key = |student: &&Known| (sort_key(column, &student.value(column)), student.id.clone());
            found.sort_by_key(key);
            if down {
                found.reverse();
            }
        }
        found
    }

    fn matches(&self, grants: &Grants, student: &Known) -> bool {
        self.search.is_none_or(|search| is_found(search, grants, student))
            && self
                .filters
                .iter()
                .all(|(column, operator, value)| holds(column, operator, value, &student.value(column)))
    }
}

/// Text without case, accents and width, as far as the test's names have them.
fn plain(text: &str) -> String {
    let bare: String = text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect();
    bare.to_lowercase().replace('ł', "l")
}

fn is_found(search: &str, grants: &Grants, student: &Known) -> bool {
    let apart = |text: &str| -> Vec<String> {
        let words = plain(text);
        words.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    let joined = |text: &str| apart(&text.replace(['’', '\''], ""));
    let searched = ["legalName", "preferredName", "email", "studentId"];
    let readable = searched.iter().filter(|column| grants.may_read(column));
    let texts: Vec<_> =
        readable.filter_map(|column| student.value(column).as_str().map(str::to_owned)).collect();
    let words: Vec<_> = texts
        .iter()
        .flat_map(|text| apart(&text.replace(['’', '\''], " ")).into_iter().chain(joined(text)))
        .collect();
    let wanted = joined(search);
    !wanted.is_empty() && wanted.iter().all(|start| words.iter().any(|word| word.starts_with(start.as_str())))
}

fn holds(column: &str, operator: &str, value: &str, held: &Value) -> bool {
    let texts: Vec<String> = match held {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null => vec![],
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    };
    match operator {
        "exists" => texts.is_empty() == (value == "false"),
        "contains" if held.is_array() => texts.iter().any(|text| text == value),
        "contains" => texts.iter().any(|text| text.to_lowercase().contains(&value.to_lowercase())),
        "from" => texts.iter().any(|text| text.as_str() >= value),
        "to" => texts.iter().any(|text| text.as_str() <= value),
        _ if column == "studentId" => texts.iter().any(|text| text.eq_ignore_ascii_case(value)),
        _ => value.split('|').any(|one| texts.iter().any(|text| text == one)),
    }
}

/// What a column is sorted by. Students without a value are first.
fn sort_key(column: &str, value: &Value) -> Option<String> {
    let folded = [
        "legalName",
        "preferredName",
        "medication",
        "dietary",
        "dietaryOther",
        "accessibility",
        "emergencyContact.name",
        "summerCity",
    ];
    match value {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            Some(plain(&list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")))
        }
        Value::String(text) if folded.contains(&column) => Some(plain(text)),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The object that shows these columns of a student.
fn shown(student: &Known, columns: &[&str]) -> Value {
    let mut object = Map::from_iter([("id".to_owned(), student.id.as_str().into())]);
    for column in columns {
        match (column.split_once('.'), student.value(column)) {
            (_, Value::Null) => {}
            (None, value) => drop(object.insert((*column).to_owned(), value)),
            (Some((name, part)), value) => {
                object.entry(name).or_insert_with(|| json!({}))[part] = value;
            }
        }
    }
    object.into()
}

/// All pages of a list: its items, and the total that the first page gives.
async fn all_pages(leader: &Visitor, query: &str) -> (Vec<Value>, Value) {
    let (mut items, mut cursor, mut total) = (vec![], String::new(), Value::Null);
    loop {
        let page = leader.get(&format!("/v1/students?limit=7&{query}{cursor}")).await.ok(200);
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        if cursor.is_empty() {
            total = page["total"].clone();
        } else {
            assert_eq!(page.get("total"), None, "only on the first page");
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (items, total),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_return_what_the_slow_model_allows() {
    let app = TestApp::start().await;
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let students: Vec<_> = (0..60).map(|number| a_student(&mut random, number)).collect();
        store_all(&app, &students).await;
        let grants = Grants::random(&mut random);
        let leader = grants.leader(&app).await;
        for round in 0..20 {
            let asked = Asked::random(&mut random);
            let query = asked.query();
            let at = format!("seed {seed}, round {round}: {query} with {grants:?}");
            if !asked.is_granted(&grants) {
                leader.get(&format!("/v1/students?{query}")).await.refused(403, "field-not-granted");
                leader.get(&format!("/v1/students.csv?{query}")).await.refused(403, "field-not-granted");
                continue;
            }
            let expected = asked.expected(&grants, &students);
            let (items, total) = all_pages(&leader, &query).await;
            let granted: Vec<_> =
                COLUMNS.iter().map(|(name, _)| *name).filter(|name| grants.may_read(name)).collect();
            if asked.fields.is_empty() {
                let ids: Vec<_> = items.iter().map(|item| item["id"].as_str()).collect();
                assert_eq!(ids, expected.iter().map(|one| Some(one.id.as_str())).collect::<Vec<_>>(), "{at}");
                for (item, student) in items.iter().zip(&expected) {
                    let known = shown(student, &granted);
                    for (name, value) in known.as_object().expect("an object") {
                        assert_eq!(&item[name.as_str()], value, "{name}, {at}");
                    }
                    for (name, _) in item.as_object().expect("an object") {
                        let may = ["id", "group", "state"].contains(&name.as_str())
                            || grants.fields.contains(name.as_str());
                        assert!(may, "{name} is not granted, {at}");
                    }
                }
            } else {
                let shown: Vec<_> = expected.iter().map(|one| shown(one, &asked.fields)).collect();
                assert_eq!(items, shown, "{at}");
            }
            assert_eq!(total, expected.len(), "{at}");
            counts_agree(&leader, &grants, &asked, &expected, &at).await;
        }
        for student in &students {
            let answer = leader.get(&format!("/v1/students/{}", student.id)).await;
            if grants.sees(student) {
                assert_eq!(answer.ok(200)["id"], student.id.as_str());
            } else {
                answer.refused(404, "no-such-student");
            }
        }
    }
    app.finish().await;
}

/// `countStudents` with the same filters equals a count of the students who must be returned.
async fn counts_agree(leader: &Visitor, grants: &Grants, asked: &Asked, expected: &[&Known], at: &str) {
    let counted = Asked { sort: None, fields: vec![], ..asked.clone() };
    for by in [["discipline", "photoConsent"], ["dietary", "group"]] {
        let query = format!("by={}&by={}&{}", by[0], by[1], counted.query());
        let answer = leader.get(&format!("/v1/students/counts?{query}")).await;
        if !by.iter().all(|column| grants.may_read(column)) {
            answer.refused(403, "field-not-granted");
            continue;
        }
        let mut cells: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for student in expected {
            let values = |column: &str| match student.value(column) {
                Value::Array(list) if list.is_empty() => vec![String::new()],
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::String(text) => vec![text],
                other => vec![other.to_string()],
            };
            for one in values(by[0]) {
                for other in values(by[1]) {
                    *cells.entry(vec![one.clone(), other]).or_default() += 1;
                }
            }
        }
        let table = answer.ok(200);
        let rows: BTreeMap<Vec<String>, u64> = table["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                let values = serde_json::from_value(row["values"].clone()).expect("texts");
                (values, row["count"].as_u64().expect("a number"))
            })
            .collect();
        assert_eq!((rows, &table["total"]), (cells, &json!(expected.len())), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_changes_no_byte_no_count_and_no_order() {
    let app = TestApp::start().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut students: Vec<_> = (0..40).map(|number| a_student(&mut random, number)).collect();
    let grants = Grants {
        fields: ["legalName", "shirtSize", "dietary"].into(),
        groups: ["Alpha", "Beta"].into(),
        unregistered: false,
    };
    let leader = grants.leader(&app).await;
    let questions = [
        "/v1/students?limit=100",
        "/v1/students?limit=5&sort=legalName",
        "/v1/students?limit=5&sort=-shirtSize&search=jose",
        "/v1/students?search=pepe",
        "/v1/students?search=jo1",
        "/v1/students?filter=dietary:exists:false&sort=dietary",
        "/v1/students/counts?by=shirtSize&by=dietary",
        "/v1/students.csv?sort=legalName",
    ];
    let mut before = None;
    for _ in 0..2 {
        store_all(&app, &students).await;
        let mut answers = vec![];
        for question in questions {
            answers.push(leader.get(question).await.text());
        }
        if let Some(before) = &before {
            assert_eq!(before, &answers);
        }
        before = Some(answers);
        // Everything that was not granted changes, and so do the students who can't be seen.
        for student in &mut students {
            let other = a_student(&mut random, 0);
            for (name, value) in other.form.as_object().expect("an object") {
                let is_key = name == "studentId" || grants.fields.contains(name.as_str());
                if !is_key || !grants.sees(student) && name != "studentId" {
                    student.form[name.as_str()] = value.clone();
                }
            }
            student.email = format!("other-{}", student.email);
            student.preferred_name = student.preferred_name.map_or(Some("Jose"), |_| None);
        }
    }
    app.finish().await;
}

/// A student who has submitted the form, and an administrator.
async fn with_a_student() -> (TestApp, Visitor, Visitor) {
    let app = TestApp::start().await;
    let (admin, (student, _)) = (app.administrator().await, app.submitted().await);
    (app, admin, student)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_account_follows_the_account() {
    let (app, admin, student) = with_a_student().await;
    student.patch("/v1/me", &json!({ "preferredName": "Pépé" })).await.ok(200);
    let list = admin.get("/v1/students?search=pepe&fields=preferredName&fields=email").await.ok(200);
    assert_eq!(
        list["items"],
        json!([{ "id": student.account().id, "preferredName": "Pépé", "email": student.email() }])
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_a_name_and_is_in_the_audit_log_without_what_was_searched_for() {
    let (app, admin, student) = with_a_student().await;
    let answer = admin
        .get("/v1/students.csv?fields=shirtSize&fields=studentId&filter=shirtSize:eq:M&search=ana&excel=true")
        .await;
    let disposition = answer.header("content-disposition").expect("it is a download").to_owned();
    let day = chrono::DateTime::from_timestamp_millis(app.clock.now().as_millis()).expect("a time");
    let day = day.with_timezone(&chrono_tz::America::Toronto).format("%Y-%m-%d");
    assert_eq!(
        disposition,
        format!("attachment; filename=\"orientation-week-{day}-shirtsize-eq-m-search.csv\"")
    );
    let number = student.get("/v1/registration").await.ok(200)["studentId"].as_str().expect("one").to_owned();
    let text = answer.text();
    assert_eq!(text, format!("\u{feff}\"Shirt size\",\"Student id\"\r\n\"M\",\"{number}\"\r\n"));
    assert!(admin.get("/v1/students.xlsx").await.bytes.starts_with(b"PK\x03\x04"), "a ZIP archive");
    let exported = Filter::eq("action", "students.exported");
    let entries: Vec<AuditEntry> = app.store.find(Query::new(exported)).await.expect("readable");
    let entry = entries.iter().find(|entry| entry.detail["file"] == "csv").expect("recorded");
    let expected = [("columns", "shirtSize,studentId"), ("file", "csv"), ("students", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(entry.detail, BTreeMap::from(expected));
    assert_eq!(entries.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_audited_and_emailed_with_a_new_ticket() {
    let app = TestApp::start().await;
    let (student, _) = app.registered().await;
    let path = format!("/v1/students/{}", student.account().id);
    let editor = app.somebody("editor@mail.example.edu", Role::Leader, &["accounts:edit"]).await;
    app.change(&editor, |account| {
        account.student_fields = [StudentField::LegalName, StudentField::ShirtSize].into();
        account.reach = [Reach::AllGroups].into();
    })
    .await;
    let first = student.get("/v1/ticket").await.ok(200)["token"].clone();
    let correct = |changes: Value| {
        let mut body = json!({ "reason": "As on the passport." });
        body.as_object_mut().expect("an object").extend(changes.as_object().expect("one").clone());
        body
    };
    editor.patch(&path, &correct(json!({ "discipline": "Civil" }))).await.refused(403, "field-not-granted");
    editor.patch(&path, &correct(json!({ "shirtSize": "XXS" }))).await.refused(422, "invalid");
    let shown =
        editor.patch(&path, &correct(json!({ "legalName": " Ana Garcia ", "shirtSize": "L" }))).await.ok(200);
    assert_eq!(
        (&shown["legalName"], &shown["shirtSize"], shown.get("phone")),
        (&json!("Ana Garcia"), &json!("L"), None)
    );
    // Nothing changes, so nothing is recorded and no email is sent.
    editor.patch(&path, &correct(json!({ "shirtSize": "L" }))).await.ok(200);
    let email = app.mailbox(student.email()).email("was corrected").await;
    let text = email["text"].as_str().expect("a text");
    assert!(
        text.contains("Legal name") && text.contains("Shirt size") && !text.contains("passport"),
        "{text}"
    );
    assert_eq!(email["attachments"].as_array().map(Vec::len), Some(1));
    let second = student.get("/v1/ticket").await.ok(200)["token"].clone();
    assert_ne!(first, second);
    let corrected = Filter::eq("action", "registration.corrected");
    let entries: Vec<AuditEntry> = app.store.find(Query::new(corrected)).await.expect("readable");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].detail["fields"], "legalName,shirtSize");
    assert!(entries[0].reason.is_some());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_discipline_counts_in_the_group_and_a_taken_student_id_is_refused() {
    let (app, admin, student) = with_a_student().await;
    let (other, _) = app.submitted().await;
    let path = format!("/v1/students/{}", student.account().id);
    admin.patch(&path, &json!({ "reason": "A mistake.", "discipline": "Mineral" })).await.ok(200);
    let book: GroupBook = app.store.get(GroupBook::ID).await.expect("readable").expect("there");
    let column = book.disciplines.iter().position(|one| one == "Mineral").expect("counted");
    let counted: u32 = book.groups.iter().filter_map(|tally| tally.by_discipline.get(column)).sum();
    assert_eq!(counted, 1);
    let taken = other.get("/v1/registration").await.ok(200)["studentId"].clone();
    admin.patch(&path, &json!({ "reason": "?", "studentId": taken })).await.refused(409, "student-id-taken");
    assert_eq!(admin.get(&path).await.ok(200)["discipline"], "Mineral");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_for_staff_who_reach_the_student() {
    let (app, admin, student) = with_a_student().await;
    let notes = format!("/v1/students/{}/notes", student.account().id);
    let writer = app.somebody("notes@mail.example.edu", Role::Leader, &["students:notes"]).await;
    writer.get(&notes).await.refused(404, "no-such-student");
    writer.post(&notes, &json!({ "text": "Out of reach." })).await.refused(404, "no-such-student");
    student.get(&notes).await.refused(403, "scope-missing");
    for text in [" Called.\nArrives late. ", "Arrived."] {
        admin.post(&notes, &json!({ "text": text })).await.ok(201);
    }
    let list = admin.get(&notes).await.ok(200);
    let texts: Vec<_> = list["items"].as_array().expect("a list").iter().map(|note| &note["text"]).collect();
    assert_eq!(texts, ["Arrived.", "Called.\nArrives late."]);
    assert_eq!(list["items"][0]["author"], admin.account().id.as_str());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_the_operations_on_students_is_reached() {
    reaches_all_of("Students", async |reach| {
        let app = reach.start().await;
        let (admin, leader) = (app.administrator().await, app.leader().await);
        let student = app.student().await;
        student.post("/v1/registration", &form(&new_student_id())).await.ok(201);
        let path = format!("/v1/students/{}", student.account().id);
        for list in ["/v1/students", "/v1/students.csv", "/v1/students.xlsx", "/v1/students/counts?by=group"]
        {
            let and = |query: &str| format!("{list}{}{query}", if list.contains('?') { "&" } else { "?" });
            assert_eq!(admin.get(list).await.status, 200);
            leader.get(&and("filter=dietary:exists:true")).await.refused(403, "field-not-granted");
            for wrong in
                ["filter=dietary", "filter=x:eq:1", "filter=birthDate:from:today", "filter=group:from:a"]
            {
                admin.get(&and(wrong)).await.refused(400, "bad-parameter");
            }
        }
        admin.get("/v1/students?cursor=bad").await.refused(400, "bad-cursor");
        admin.get("/v1/students/counts?by=registeredAt").await.refused(400, "bad-parameter");
        admin.get(&path).await.ok(200);
        admin.get(&format!("{path}?fields=nothing")).await.refused(400, "bad-parameter");
        leader.get(&format!("{path}?fields=dietary")).await.refused(403, "field-not-granted");
        leader.get(&path).await.refused(404, "no-such-student");
        admin.get(&format!("/v1/students/{NO_ID}")).await.refused(404, "no-such-student");
        let correct = json!({ "reason": "A typo.", "legalName": "Ana" });
        admin.patch(&path, &correct).await.ok(200);
        let editor = app.somebody("e@mail.example.edu", Role::Leader, &["accounts:edit"]).await;
        editor.patch(&path, &correct).await.refused(403, "field-not-granted");
        admin.patch(&path, &json!({ "reason": "A typo.", "birthDate": "x" })).await.refused(422, "invalid");
        reach.example(&admin, "correctStudent").await.refused(404, "no-such-student");
        let (other, _) = app.submitted().await;
        let taken = other.get("/v1/registration").await.ok(200)["studentId"].clone();
        admin
            .patch(&path, &json!({ "reason": "?", "studentId": taken }))
            .await
            .refused(409, "student-id-taken");
        admin.get(&format!("{path}/notes")).await.ok(200);
        admin.get(&format!("{path}/notes?cursor=bad")).await.refused(400, "bad-cursor");
        admin.get(&format!("/v1/students/{NO_ID}/notes")).await.refused(404, "no-such-student");
        admin.post(&format!("{path}/notes"), &json!({ "text": "Called." })).await.ok(201);
        reach.example(&admin, "addStudentNote").await.refused(404, "no-such-student");
        reach.without_a_store(&app, &admin, &[]).await;
        app.finish().await;
    })
    .await;
}
