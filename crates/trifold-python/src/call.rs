//! Calls of Python code, on any thread.

use std::{ffi::CStr, hint::black_box, mem, thread};

use pyo3::{ffi, prelude::*, types::PyTuple};

type Object = *mut ffi::PyObject;

/// Calls what may be written in Python. Not to be replaced by `PyO3`'s ways to call.
///
/// While Python code runs, the interpreter may come to its end. Python before 3.14 then ends every other
/// thread by unwinding its stack, at the latest when that code asks for the GIL again. Destructors of Rust
/// on that stack would touch Python without the GIL, which kills the process. So a thread that is
/// unwound stops here, before any other frame of Rust, and for ever: as with Python 3.14.
///
/// # Errors
/// What the code raises.
pub fn call<'py, A>(callable: &Bound<'py, PyAny>, arguments: A) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
{
    let arguments = arguments.into_pyobject(callable.py()).map_err(Into::into)?;
    let result = call_or_stop(callable, arguments.as_borrowed());
    owned(callable.py(), result)
}

/// Calls a method, as [`call`] does.
///
/// # Errors
/// What the method raises.
pub fn call_method<'py, A>(
    object: &Bound<'py, PyAny>,
    name: &str,
    arguments: A,
) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
{
    call(&object.getattr(name)?, arguments)
}

/// Imports a module, whose code may be run for it, as [`call`] does.
///
/// # Errors
/// `ImportError`, and what the module's code raises.
pub fn import<'py>(py: Python<'py>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    owned(py, import_or_stop(py, name))
}

#[expect(unsafe_code, reason = "PyO3 has no call that can be unwound")]
#[inline(never)]
fn call_or_stop(callable: &Bound<'_, PyAny>, arguments: Borrowed<'_, '_, PyTuple>) -> Object {
    type Plain = unsafe extern "C" fn(Object, Object) -> Object;
    type Unwound = unsafe extern "C-unwind" fn(Object, Object) -> Object;
    // Nothing here but the guard has a destructor. Nor may the compiler see which function it is: PyO3
    // has told it that it never unwinds.
    let stop = Stop;
    let plain: Plain = black_box(ffi::PyObject_CallObject);
    // SAFETY: the two types differ in what may be unwound, and both objects live; this thread has the GIL.
    let result = unsafe {
        let call: Unwound = mem::transmute::<Plain, Unwound>(plain);
        call(callable.as_ptr(), arguments.as_ptr())
    };
    mem::forget(stop);
    result
}

#[expect(unsafe_code, reason = "PyO3 has no import that can be unwound")]
#[inline(never)]
fn import_or_stop(_: Python<'_>, name: &CStr) -> Object {
    type Plain = unsafe extern "C" fn(*const std::ffi::c_char) -> Object;
    type Unwound = unsafe extern "C-unwind" fn(*const std::ffi::c_char) -> Object;
    // As above.
    let stop = Stop;
    let plain: Plain = black_box(ffi::PyImport_ImportModule);
    // SAFETY: as above; the name is a string of C's.
    let result = unsafe {
        let import: Unwound = mem::transmute::<Plain, Unwound>(plain);
        import(name.as_ptr())
    };
    mem::forget(stop);
    result
}

#[expect(unsafe_code, reason = "what the functions above give")]
fn owned(py: Python<'_>, object: Object) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or null with an exception set, as both functions of C give.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// Stops the thread that drops it, for ever.
struct Stop;

impl Drop for Stop {
    fn drop(&mut self) {
        loop {
            thread::park();
        }
    }
}
