# dlpack.h (>= 1.0; Debian's 0.6 is too old) out of the pinned apache-tvm-ffi wheel, which ships it.
set(DLPACK_WHEEL_VERSION 0.1.15.post2)
set(DLPACK_SHA256 62052bef24bd69bb7b52e95428f9e99bd7951783850c36c5f2a41e71fd63c2fc) # of dlpack.h, the same in every platform's wheel
set(dlpack_dir ${CMAKE_BINARY_DIR}/dlpack)
set(dlpack_header ${dlpack_dir}/include/dlpack/dlpack.h)
if(NOT EXISTS ${dlpack_header})
  # any one wheel will do: only its header is used
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11
            --platform manylinux_2_28_x86_64 --implementation cp --dest ${dlpack_dir}
            apache-tvm-ffi==${DLPACK_WHEEL_VERSION}
    RESULT_VARIABLE result ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "could not download apache-tvm-ffi ${DLPACK_WHEEL_VERSION} (for dlpack.h): ${text}")
  endif()
  file(GLOB wheel ${dlpack_dir}/apache_tvm_ffi-*.whl)
  file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${dlpack_dir}/wheel PATTERNS tvm_ffi/include/dlpack/dlpack.h)
  file(COPY ${dlpack_dir}/wheel/tvm_ffi/include/dlpack DESTINATION ${dlpack_dir}/include)
  file(SHA256 ${dlpack_header} sum)
  if(NOT sum STREQUAL DLPACK_SHA256)
    file(REMOVE_RECURSE ${dlpack_dir})
    message(FATAL_ERROR "dlpack.h of apache-tvm-ffi ${DLPACK_WHEEL_VERSION}: expected SHA-256 ${DLPACK_SHA256}, got ${sum}")
  endif()
endif()
target_include_directories(dlpack INTERFACE ${dlpack_dir}/include)
