//! Finding secrets, reading many at once, and their tags.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{
    Filter, FilterNameStringType as Key, SortByType, SortOrderType, Tag,
};

use crate::Check;
use crate::secret_help::secret;
use crate::server::{ALLOW_ALL, Server, ok, refused, same};

crate::behaviours! {
    "secretsmanager", "a filter by name matches beginnings, with case" => by_name;
    "secretsmanager", "a filter by description matches without case" => by_description;
    "secretsmanager", "a filter by tag value matches beginnings" => by_tag_value;
    "secretsmanager", "a filter value with ! leaves out what matches" => negated;
    "secretsmanager", "all filters must match, and any value of each" => together;
    "secretsmanager", "a filter by all finds words anywhere, without case" => everywhere;
    "secretsmanager", "an unknown filter key is refused" => unknown_key;
    "secretsmanager", "ListSecrets sorts by name, both ways" => sorted;
    "secretsmanager", "BatchGetSecretValue gives the values of a list, and an error for each other" => batch;
    "secretsmanager iam", "BatchGetSecretValue tells which secrets were denied" => batch_denied;
    "secretsmanager", "BatchGetSecretValue finds secrets by filters" => batch_filtered;
    "secretsmanager", "BatchGetSecretValue takes a list or filters, not both" => batch_both;
    "secretsmanager", "a tag is replaced, and removed" => tags;
    "secretsmanager", "a secret has 50 tags at most" => most_tags;
    "secretsmanager", "a name of more than 512 characters is refused" => long_name;
    "secretsmanager", "a description of more than 2,048 characters is refused" => long_description;
    "secretsmanager", "GetRandomPassword keeps to what is excluded" => password;
    "secretsmanager", "GetRandomPassword has a character of each kind" => each_kind;
    "secretsmanager", "GetRandomPassword refuses a length that is too short or too long" => lengths;
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn filter(key: Key, values: &[&str]) -> Filter {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    Filter::builder().key(key).set_values(Some(values)).build()
}

/// The names that filters find, in order, without the stem that they share.
async fn found(client: &Client, stem: &str, filters: Vec<Filter>) -> Result<String, String> {
    let list = client.list_secrets().set_filters(Some(filters)).send().await;
    let list = ok(list)?;
    let names = list.secret_list().iter().filter_map(|it| it.name()?.strip_prefix(stem));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    Ok(names.join(" "))
}

/// Three secrets, whose names begin with the stem that is returned.
async fn three(server: &Server) -> Result<(Client, String), String> {
    let (client, stem) = (server.admin().secrets, format!("{}/", server.name("Found")));
    let word = stem.trim_matches('/').replace('-', "");
    for (name, description, team) in [
        ("alpha", "the Payment gateway", "red"),
        ("beta", "repayments", "blue"),
        ("Bravo", "", "redder"),
    ] {
        let create = client.create_secret().name(format!("{stem}{name}")).secret_string(name);
        let create = create.description(format!("{word} {description}"));
        ok(create.tags(tag("team", &format!("{word}-{team}"))).send().await)?;
    }
    Ok((client, stem))
}

async fn by_name(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let by = async |value: String| found(&client, &stem, vec![filter(Key::Name, &[&value])]).await;
    same(by(stem.clone()).await?.as_str(), "Bravo alpha beta")?;
    same(by(format!("{stem}b")).await?.as_str(), "beta")?;
    same(by(stem.to_lowercase()).await?.as_str(), "")?;
    same(by(stem[1..].to_owned()).await?.as_str(), "")
}

async fn by_description(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let word = stem.trim_matches('/').replace('-', "").to_uppercase();
    let all = found(&client, &stem, vec![filter(Key::Description, &[&word])]).await?;
    same(all.as_str(), "Bravo alpha beta")
}

async fn by_tag_value(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let word = stem.trim_matches('/').replace('-', "");
    let red = found(&client, &stem, vec![filter(Key::TagValue, &[&format!("{word}-red")])]).await?;
    same(red.as_str(), "Bravo alpha")
}

async fn negated(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let others = format!("!{stem}b");
    let filters = vec![filter(Key::Name, &[&stem]), filter(Key::Name, &[&others])];
    same(found(&client, &stem, filters).await?.as_str(), "Bravo alpha")
}

async fn together(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let word = stem.trim_matches('/').replace('-', "");
    let names = [format!("{stem}alpha"), format!("{stem}beta")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let team = format!("{word}-red");
    let filters = vec![filter(Key::Name, &names), filter(Key::TagValue, &[&team])];
    same(found(&client, &stem, filters).await?.as_str(), "alpha")
}

async fn everywhere(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let word = stem.trim_matches('/').replace('-', "").to_lowercase();
    let wanted = format!("{word} PAYM");
    let filters = vec![filter(Key::All, &[&wanted])];
    same(found(&client, &stem, filters).await?.as_str(), "alpha")
}

async fn unknown_key(server: Server) -> Check {
    let filters = filter(Key::from("colour"), &["red"]);
    let list = server.admin().secrets.list_secrets().filters(filters).send().await;
    refused(list, "InvalidParameterException", 400)
}

async fn sorted(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    for (order, expected) in
        [(SortOrderType::Asc, "Bravo alpha beta"), (SortOrderType::Desc, "beta alpha Bravo")]
    {
        let list = client.list_secrets().filters(filter(Key::Name, &[&stem]));
        let list = list.sort_by(SortByType::Name).sort_order(order).send().await;
        let list = ok(list)?;
        let names = list.secret_list().iter().filter_map(|it| it.name()?.strip_prefix(&stem));
        same(names.collect::<Vec<_>>().join(" ").as_str(), expected)?;
    }
    Ok(())
}

async fn batch(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let missing = format!("{stem}nothing");
    let asked = client.batch_get_secret_value().secret_id_list(format!("{stem}alpha"));
    let asked = asked.secret_id_list(&missing).secret_id_list(format!("{stem}beta"));
    let answer = ok(asked.send().await)?;
    let mut values: Vec<_> =
        answer.secret_values().iter().filter_map(|it| it.secret_string()).collect();
    values.sort_unstable();
    same(values, vec!["alpha", "beta"])?;
    let errors = answer.errors().iter().map(|it| (it.secret_id(), it.error_code()));
    same(errors.collect(), vec![(Some(missing.as_str()), Some("ResourceNotFoundException"))])
}

async fn batch_denied(server: Server) -> Check {
    let it = secret(&server).await?;
    let person = server.person(Some(ALLOW_ALL)).await?;
    let deny = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"{}"}}]}}"#,
        it.arn
    );
    let put = server.admin().iam.put_user_policy().user_name(&person.name).policy_name("second");
    ok(put.policy_document(deny).send().await)?;
    let asked = person.clients.secrets.batch_get_secret_value().secret_id_list(&it.name);
    let answer = ok(asked.send().await)?;
    same(answer.secret_values().len(), 0)?;
    same(answer.errors().first().and_then(|it| it.error_code()), Some("AccessDeniedException"))
}

async fn batch_filtered(server: Server) -> Check {
    let (client, stem) = three(&server).await?;
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let asked = client.batch_get_secret_value().filters(filter(Key::Name, &[&stem]));
        let asked = asked.max_results(2).set_next_token(token.take());
        let answer = ok(asked.send().await)?;
        let values = answer.secret_values().iter().filter_map(|it| it.secret_string());
        found.extend(values.map(str::to_owned));
        token = answer.next_token().map(str::to_owned);
        if token.is_none() {
            found.sort();
            return same(found.join(" ").as_str(), "Bravo alpha beta");
        }
    }
}

async fn batch_both(server: Server) -> Check {
    let it = secret(&server).await?;
    let asked = it.client.batch_get_secret_value().secret_id_list(&it.name);
    let asked = asked.filters(filter(Key::Name, &[&it.name])).send().await;
    refused(asked, "InvalidParameterException", 400)
}

async fn tags(server: Server) -> Check {
    let it = secret(&server).await?;
    let add = |value| it.client.tag_resource().secret_id(&it.name).tags(tag("k", value));
    ok(add("one").send().await)?;
    ok(add("two").send().await)?;
    same(it.describe().await?.tags(), &[tag("k", "two")])?;
    ok(it.client.untag_resource().secret_id(&it.name).tag_keys("k").send().await)?;
    same(it.describe().await?.tags().len(), 0)
}

async fn most_tags(server: Server) -> Check {
    let it = secret(&server).await?;
    let many = (0..50).map(|number| tag(&format!("k{number}"), "v")).collect();
    ok(it.client.tag_resource().secret_id(&it.name).set_tags(Some(many)).send().await)?;
    let more = it.client.tag_resource().secret_id(&it.name).tags(tag("more", "v")).send().await;
    refused(more, "InvalidParameterException", 400)
}

async fn long_name(server: Server) -> Check {
    let (client, name) = (server.admin().secrets, server.name("long"));
    let fits = format!("{name}{}", "x".repeat(512 - name.len()));
    ok(client.create_secret().name(&fits).secret_string("v").send().await)?;
    let create = client.create_secret().name(format!("{fits}x")).secret_string("v").send().await;
    refused(create, "InvalidParameterException", 400)
}

async fn long_description(server: Server) -> Check {
    let it = secret(&server).await?;
    let update = |length| {
        it.client.update_secret().secret_id(&it.name).description("x".repeat(length)).send()
    };
    ok(update(2_048).await)?;
    refused(update(2_049).await, "InvalidParameterException", 400)
}

async fn password(server: Server) -> Check {
    let ask = server.admin().secrets.get_random_password().password_length(500);
    let ask = ask.exclude_punctuation(true).exclude_uppercase(true).exclude_characters("abc123");
    let password = ok(ask.include_space(true).send().await)?;
    let password = password.random_password().unwrap_or_default();
    same(password.len(), 500)?;
    let fits = |it: char| "defghijklmnopqrstuvwxyz0456789 ".contains(it);
    same(password.chars().find(|it| !fits(*it)), None)
}

async fn each_kind(server: Server) -> Check {
    for _ in 0..20 {
        let ask = server.admin().secrets.get_random_password().password_length(4);
        let password = ok(ask.require_each_included_type(true).send().await)?;
        let password = password.random_password().unwrap_or_default();
        let has = |kind: fn(&char) -> bool| password.chars().any(|it| kind(&it));
        let kinds = [
            has(char::is_ascii_lowercase),
            has(char::is_ascii_uppercase),
            has(char::is_ascii_digit),
            has(char::is_ascii_punctuation),
        ];
        same((password.len(), kinds), (4, [true; 4]))?;
    }
    Ok(())
}

async fn lengths(server: Server) -> Check {
    let ask = |length| server.admin().secrets.get_random_password().password_length(length).send();
    same(ok(ask(4_096).await)?.random_password().map(str::len), Some(4_096))?;
    refused(ask(3).await, "InvalidParameterException", 400)?;
    refused(ask(4_097).await, "InvalidParameterException", 400)
}
