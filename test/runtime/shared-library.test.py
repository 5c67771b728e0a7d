# The smallest ctypes host: open a model, print the variant and how many entries can be found by name.
import ctypes
import sys

runtime = ctypes.CDLL(sys.argv[1])
pointer = ctypes.c_void_p


class Error(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("code", ctypes.c_int32), ("text", ctypes.c_char * 512)]


runtime.attn_runtime_host.restype = pointer
runtime.attn_file_library.restype = pointer
runtime.attn_library_find.restype = ctypes.c_int64
for function in ["attn_runtime_host", "attn_file_library", "attn_file_free", "attn_runtime_free"]:
    getattr(runtime, function).argtypes = [pointer]
runtime.attn_library_find.argtypes = [pointer, ctypes.c_char_p]
runtime.attn_file_open.argtypes = [pointer, pointer, ctypes.c_char_p, pointer, pointer]

error = Error(size=ctypes.sizeof(Error))
host, file, model = pointer(), pointer(), pointer()
assert runtime.attn_runtime_create(None, ctypes.byref(host), ctypes.byref(error)) == 0, error.text
assert runtime.attn_file_load(sys.argv[2].encode(), ctypes.byref(file), ctypes.byref(error)) == 0, error.text
library = runtime.attn_file_library(file)
status = runtime.attn_file_open(
    file, runtime.attn_runtime_host(host), b"fast", ctypes.byref(model), ctypes.byref(error)
)
assert status == 0, error.text
print("fast", runtime.attn_library_find(library, b"static"))
assert runtime.attn_file_load(b"nothing.so", ctypes.byref(file), ctypes.byref(error)) == 14
print(error.text.decode())
