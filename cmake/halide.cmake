# Target Halide::Halide out of the pinned halide wheel, which holds the whole SDK. Only the plug-in attn-halide links it.
set(HALIDE_VERSION 21.0.0)
set(HALIDE_SHA256 3686c2b4c9aed1e26e1e55631608b2c4a4c3fe2d4386505ba1921859adb683ab) # of the wheel
set(halide_dir ${CMAKE_BINARY_DIR}/halide)
if(NOT EXISTS ${halide_dir}/${HALIDE_SHA256})
  file(REMOVE_RECURSE ${halide_dir})
  message(STATUS "Fetching halide ${HALIDE_VERSION}")
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11
            --platform manylinux_2_28_x86_64 --implementation cp --dest ${halide_dir} halide==${HALIDE_VERSION}
    RESULT_VARIABLE result ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "could not download halide ${HALIDE_VERSION} (-DATTN_HALIDE=OFF builds without it): ${text}")
  endif()
  file(GLOB wheel ${halide_dir}/halide-*.whl)
  file(SHA256 ${wheel} sum)
  if(NOT sum STREQUAL HALIDE_SHA256)
    file(REMOVE_RECURSE ${halide_dir})
    message(FATAL_ERROR "the wheel of halide ${HALIDE_VERSION} (-DATTN_HALIDE=OFF builds without it): expected SHA-256 ${HALIDE_SHA256}, got ${sum}")
  endif()
  file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${halide_dir})
  file(REMOVE ${wheel})
  file(TOUCH ${halide_dir}/${HALIDE_SHA256}) # all of it is there
endif()
# The files of its CMake package that define the library. Its HalideConfig.cmake asks for CMake 3.28, and for packages that
# only generators and Python need.
include(${halide_dir}/halide/lib64/cmake/HalideHelpers/Halide-Interfaces.cmake)
include(${halide_dir}/halide/lib64/cmake/Halide/Halide-shared-targets.cmake)
set(ATTN_HALIDE_INCLUDES ${halide_dir}/halide/include) # for the support code
