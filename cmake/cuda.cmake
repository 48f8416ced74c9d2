# The CUDA side: gpunn_kernels (kernels/*.cu, by nvcc) and gpunn_cuda_glue (src/cuda/*.cpp, by the C++ compiler).
# Without a toolkit nothing of it exists and the project builds for the CPU alone, saying so; with GPUNN_REQUIRE_CUDA=1 in
# the environment that is an error, so that CUDA tests cannot vanish in silence. Sets GPUNN_HAVE_CUDA and GPUNN_HAVE_CUDNN.
set(GPUNN_HAVE_CUDA OFF)
set(GPUNN_HAVE_CUDNN OFF)
option(GPUNN_CUDA "Build the CUDA backend where a toolkit is found" ON)

function(gpunn_no_cuda why)
  if(GPUNN_CUDA AND "$ENV{GPUNN_REQUIRE_CUDA}")
    message(FATAL_ERROR "libgpunn: GPUNN_REQUIRE_CUDA is set, but ${why}")
  endif()
  message(STATUS "libgpunn: CPU only: ${why}")
endfunction()

if(NOT GPUNN_CUDA)
  gpunn_no_cuda("GPUNN_CUDA is OFF")
  return()
endif()

# nvcc is often installed but not on PATH.
if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(GPUNN_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(GPUNN_NVCC)
  if(GPUNN_NVCC)
    set(CMAKE_CUDA_COMPILER ${GPUNN_NVCC})
  endif()
endif()

# All chips that the toolkit's libraries still know, and PTX for newer ones. Developers compile for one: much quicker.
set(gpunn_all_architectures 75-real 80-real 86-real 89-real 90-real 100-real 120)
if(PROJECT_IS_TOP_LEVEL AND GPUNN_BUILD_TESTS)
  set(gpunn_all_architectures 90)
endif()
set(GPUNN_CUDA_ARCHITECTURES "${gpunn_all_architectures}" CACHE STRING "CUDA architectures, as for CMAKE_CUDA_ARCHITECTURES")
set(CMAKE_CUDA_ARCHITECTURES ${GPUNN_CUDA_ARCHITECTURES})
if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  gpunn_no_cuda("no CUDA compiler was found (set CMAKE_CUDA_COMPILER or put nvcc on PATH)")
  return()
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.4)
  gpunn_no_cuda("CUDA ${CMAKE_CUDA_COMPILER_VERSION} is older than 12.4")
  return()
endif()
find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND)
  gpunn_no_cuda("nvcc ${CMAKE_CUDA_COMPILER_VERSION} was found, but not its toolkit")
  return()
endif()
find_path(GPUNN_CUB cub/device/device_radix_sort.cuh HINTS ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES cccl)
mark_as_advanced(GPUNN_CUB)
if(NOT GPUNN_CUB)
  gpunn_no_cuda("CUB (cuda-cccl) was not found beside CUDA ${CUDAToolkit_VERSION}")
  return()
endif()
# CMake 3.25 does not know that nvcc speaks C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(GPUNN_HAVE_CUDA ON)

# ---- kernels --------------------------------------------------------------------------------------
# Nothing of -use_fast_math; ptxas warnings (a spill, an array in local memory) are errors like all others.
set(GPUNN_NVCC_FLAGS --expt-relaxed-constexpr "SHELL:-Werror all-warnings"
  "SHELL:-Xptxas -warn-spills,-warn-lmem-usage,-Werror" "SHELL:-Xcompiler -Wall,-Wextra,-Werror")

file(GLOB gpunn_kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../kernels/*.cu)
add_library(gpunn_kernels OBJECT ${gpunn_kernels})
set_target_properties(gpunn_kernels PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF
  POSITION_INDEPENDENT_CODE ON CUDA_VISIBILITY_PRESET hidden)
target_compile_options(gpunn_kernels PRIVATE ${GPUNN_NVCC_FLAGS})
if(GPUNN_SANITIZE)
  set_target_properties(gpunn_kernels PROPERTIES EXCLUDE_FROM_ALL ON)  # sanitizers see the kernels on the software device
endif()
target_include_directories(gpunn_kernels PRIVATE ${CMAKE_CURRENT_LIST_DIR}/.. ${CMAKE_CURRENT_LIST_DIR}/../include)

# ---- host code ------------------------------------------------------------------------------------
# The ops' glue and the executor: the CUDA runtime alone, so that they also run on the software device.
file(GLOB gpunn_glue CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../src/cuda/*.cpp)
if(gpunn_glue)
  add_library(gpunn_cuda_glue OBJECT ${gpunn_glue})
  set_target_properties(gpunn_cuda_glue PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  target_link_libraries(gpunn_cuda_glue PUBLIC gpunn_flags CUDA::cudart)
  target_include_directories(gpunn_cuda_glue SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
endif()

# cuBLASLt and cuDNN behind wrappers of our own.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(CUDNN QUIET)
file(GLOB gpunn_libraries CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../src/cuda/libraries/*.cpp)
if(CUDNN_FOUND)
  set(GPUNN_HAVE_CUDNN ON)
else()
  if("$ENV{GPUNN_REQUIRE_CUDA}")
    message(FATAL_ERROR "libgpunn: GPUNN_REQUIRE_CUDA is set, but there is no cuDNN 9 beside CUDA ${CUDAToolkit_VERSION}")
  endif()
  message(STATUS "libgpunn: no cuDNN 9 beside CUDA ${CUDAToolkit_VERSION}: convolutions by our own kernels")
  list(FILTER gpunn_libraries EXCLUDE REGEX "/cudnn_[^/]*\\.cpp$")
endif()
if(GPUNN_HAVE_CUDNN)
  list(FILTER gpunn_libraries EXCLUDE REGEX "/without_cudnn\\.cpp$")
endif()
add_library(gpunn_cuda_libraries OBJECT ${gpunn_libraries})
set_target_properties(gpunn_cuda_libraries PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
target_link_libraries(gpunn_cuda_libraries PUBLIC gpunn_flags CUDA::cudart CUDA::cublasLt)
target_include_directories(gpunn_cuda_libraries SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
if(GPUNN_HAVE_CUDNN)
  target_link_libraries(gpunn_cuda_libraries PUBLIC CUDNN::cudnn)
endif()
message(STATUS "libgpunn: CUDA ${CUDAToolkit_VERSION} for ${GPUNN_CUDA_ARCHITECTURES}, cuDNN ${CUDNN_VERSION}")
