use crate::{error::CliError, ui::Ui};

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _ui: &Ui) -> Result<(), CliError> {
    Ok(())
}
