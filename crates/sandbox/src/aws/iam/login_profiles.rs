//! Console passwords.

use crate::aws::call::{Call, Operation, Target};
use crate::aws::error::AwsError;
use crate::aws::state::user::Login;
use crate::aws::xml::Xml;

const WITH_PASSWORD: &[&str] = &["UserName", "Password", "PasswordResetRequired"];

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateLoginProfile", Target::User, WITH_PASSWORD, create),
    Operation::read("GetLoginProfile", Target::User, &["UserName"], get),
    Operation::write("UpdateLoginProfile", Target::User, WITH_PASSWORD, update),
    Operation::write("DeleteLoginProfile", Target::User, &["UserName"], delete),
];

fn create(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?.to_owned();
    let login = Login {
        password: call.params.required("Password")?.to_owned(),
        created: call.at.now,
        reset_required: call.params.flag("PasswordResetRequired"),
    };
    let at = call.at;
    let user = call.account_mut()?.user_mut(&name)?;
    if user.login.latest().is_some() {
        return Err(AwsError::exists("Login Profile for User", &name));
    }
    let mut xml = Xml::default();
    xml.nest("LoginProfile", |xml| write(xml, &name, &login));
    user.login.set(Some(login), &at);
    Ok(xml)
}

fn get(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?;
    let login = call.account()?.user(name)?.login.latest().as_ref();
    let login = login.ok_or_else(|| missing(name))?;
    let mut xml = Xml::default();
    xml.nest("LoginProfile", |xml| write(xml, name, login));
    Ok(xml)
}

fn update(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params.required("UserName")?;
    let at = call.at;
    let user = call.account_mut()?.user_mut(name)?;
    let mut login = user.login.latest().clone().ok_or_else(|| missing(name))?;
    if let Some(password) = call.params.get("Password") {
        password.clone_into(&mut login.password);
    }
    if call.params.get("PasswordResetRequired").is_some() {
        login.reset_required = call.params.flag("PasswordResetRequired");
    }
    let user = call.account_mut()?.user_mut(name)?;
    user.login.set(Some(login), &at);
    Ok(Xml::default())
}

fn delete(call: &mut Call<'_>) -> Result<Xml, AwsError> {
    let name = call.user_name()?.to_owned();
    let at = call.at;
    let user = call.account_mut()?.user_mut(&name)?;
    if user.login.latest().is_none() {
        return Err(missing(&name));
    }
    user.login.set(None, &at);
    Ok(Xml::default())
}

fn write(xml: &mut Xml, name: &str, login: &Login) {
    xml.text("UserName", name).time("CreateDate", login.created);
    xml.flag("PasswordResetRequired", login.reset_required);
}

fn missing(name: &str) -> AwsError {
    AwsError::no_such_entity(format!("Login Profile for User {name} cannot be found."))
}
