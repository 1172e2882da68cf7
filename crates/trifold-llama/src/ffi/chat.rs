use std::{
    ffi::{CStr, CString, c_char},
    ptr::{self, NonNull},
    sync::Arc,
};

use trifold_llama_sys::{self as sys, raw};
use trifold_runtime::EngineError;

use super::{ModelHandle, owned};

/// How a model writes tool calls in one conversation.
#[derive(Debug)]
pub(crate) struct ChatHandle {
    chat: NonNull<raw::trifold_chat>,
}

// SAFETY: it owns all that it points to, and none of that belongs to a thread.
unsafe impl Send for ChatHandle {}

impl Drop for ChatHandle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the engine and is freed once.
        if let Err(error) = unsafe { sys::chat_close(self.chat.as_ptr()) } {
            tracing::error!("Failed to free a chat: {error}");
        }
    }
}

impl ChatHandle {
    /// Takes and gives JSON, see `shim/trifold_chat.h`. Without a handle the answer has an `error`.
    pub(crate) fn open(
        model: &Arc<ModelHandle>,
        request: &CStr,
    ) -> Result<(Option<Self>, String), EngineError> {
        let mut answer: *mut c_char = ptr::null_mut();
        // SAFETY: the model is alive, and is not kept; the request ends with a NUL; the answer is a
        // place for one pointer.
        let chat = unsafe { sys::chat_open(model.as_ptr(), request.as_ptr(), &raw mut answer) };
        // First of all, so that neither is lost if the other failed.
        let chat = chat.map(|chat| NonNull::new(chat).map(|chat| Self { chat }));
        // SAFETY: a text of the engine's, or null.
        let answer = unsafe { taken(answer) }?;
        Ok((chat?, answer))
    }

    /// Reads a text that the model has written; gives JSON.
    pub(crate) fn parse(&mut self, text: &str, partial: bool) -> Result<String, EngineError> {
        let pointer = text.as_ptr().cast::<c_char>();
        // SAFETY: the chat is alive; the text is given with its length.
        unsafe {
            let answer = sys::chat_parse(self.chat.as_ptr(), pointer, text.len(), partial)?;
            taken(answer)
        }
    }
}

/// Turns a JSON schema into a grammar; gives JSON.
pub(crate) fn schema_to_grammar(schema: &CString) -> Result<String, EngineError> {
    // SAFETY: the text ends with a NUL; the answer is a text of the engine's.
    unsafe { taken(sys::chat_schema_to_grammar(schema.as_ptr())?) }
}

/// Copies a text of the engine's and frees it; null is empty.
///
/// # Safety
/// `text` must be null or come from one of the functions above, and is gone afterwards.
unsafe fn taken(text: *mut c_char) -> Result<String, EngineError> {
    // SAFETY: the caller's promise.
    let copy = unsafe { owned(text) };
    // SAFETY: the caller's promise; `free` takes null.
    unsafe { sys::chat_free_text(text) }?;
    Ok(copy.unwrap_or_default())
}
