# Everything a user may set. Defaults: a library alone when it is a subproject, all of it when it is not.
option(BUILD_SHARED_LIBS "Build libgpunn as a shared library" ON)
option(GPUNN_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(GPUNN_BUILD_BENCH "Build the benchmarks" OFF)
option(GPUNN_BUILD_EXAMPLES "Build the example trainers" ${PROJECT_IS_TOP_LEVEL})
set(GPUNN_SANITIZE "" CACHE STRING "Sanitizers for our own code, as for -fsanitize= (address,undefined or thread)")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  find_program(GPUNN_CCACHE ccache)
  if(GPUNN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GPUNN_CCACHE})
  endif()
endif()

# Flags of our own targets; nothing of it reaches a consumer.
add_library(gpunn_flags INTERFACE)
target_compile_features(gpunn_flags INTERFACE cxx_std_20)
target_compile_options(gpunn_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -fno-math-errno -fno-trapping-math)
# Contracted multiply-adds would make the plain loops differ between compilers; kernels ask for FMA by name.
target_compile_options(gpunn_flags INTERFACE -ffp-contract=off)
# g++ 12 warns of overlapping copies inside std::string's own operator+ (GCC bug 105651).
target_compile_options(gpunn_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(gpunn_flags INTERFACE ${CMAKE_CURRENT_LIST_DIR}/.. ${CMAKE_CURRENT_LIST_DIR}/../include)
if(GPUNN_SANITIZE)
  target_compile_options(gpunn_flags INTERFACE -fsanitize=${GPUNN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(gpunn_flags INTERFACE -fsanitize=${GPUNN_SANITIZE})
endif()
