//! Virtual keys: who may call, what with, and who pays.
//!
//! Begin at [`keyring::Keyring`], which every request of the data plane passes; [`service::KeyService`] is where keys are made and
//! changed, by the admin API and by the command line alike. What is stored of a key is `store::records::keys`; a secret is shown
//! once, when it is made, and kept nowhere.

pub mod credentials;
pub mod denial;
pub mod keyring;
pub mod metrics;
pub mod network;
pub mod permission;
pub mod service;
pub mod text;
pub mod view;
