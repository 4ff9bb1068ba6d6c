//! Stands in for the crate that reqwest reads response bodies with. xet-core does not compile without reqwest, but
//! nothing here makes a request. The real crate exports classes to JavaScript, and no linker removes an export: they
//! stay in the module and in its glue, with the promises and tasks that they use.

use futures_util::stream::{Stream, poll_fn};
use wasm_bindgen::JsValue;

pub struct ReadableStream;

impl ReadableStream {
    pub fn from_raw(_: JsValue) -> Self {
        Self
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<JsValue, JsValue>> {
        poll_fn(|_| unreachable!("this module makes no requests"))
    }
}
