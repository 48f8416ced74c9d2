# The library: its objects, which the tests link to reach what is hidden, and the shared (or static) libgpunn.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)
# Found by hand: its package needs OpenCL's headers, which a machine without a GPU lacks. It brings GNU's OpenMP along.
find_path(GPUNN_ONEDNN_INCLUDE dnnl.hpp REQUIRED)
find_library(GPUNN_ONEDNN_LIBRARY dnnl REQUIRED)

# What libgpunn and libgpunn_cuda must agree on: the version, and every header that both compile.
file(GLOB gpunn_shared_headers CONFIGURE_DEPENDS include/gpunn/*.hpp src/core/*.hpp src/memory/*.hpp src/ir/*.hpp)
set(gpunn_interface "")
foreach(header IN LISTS gpunn_shared_headers)
  file(SHA256 ${header} hash)
  string(APPEND gpunn_interface ${hash})
endforeach()
string(SHA256 gpunn_interface "${gpunn_interface}")
string(SUBSTRING ${gpunn_interface} 0 12 gpunn_interface)
set(GPUNN_BUILD_ID "${PROJECT_VERSION}-${gpunn_interface}")

add_library(gpunn_objects OBJECT ${gpunn_sources})
string(REPLACE ";" " " gpunn_architectures "${GPUNN_CUDA_ARCHITECTURES}")  # a semicolon would begin another definition
set_source_files_properties(src/graph/devices.cpp src/cuda/plugin.cpp PROPERTIES COMPILE_DEFINITIONS
  "GPUNN_BUILD_ID=\"${GPUNN_BUILD_ID}\";GPUNN_CUDA_ARCHITECTURES=\"${gpunn_architectures}\"")
target_link_libraries(gpunn_objects PUBLIC gpunn_flags
  PRIVATE Threads::Threads ${CMAKE_DL_LIBS} spdlog::spdlog ZLIB::ZLIB nlohmann_json::nlohmann_json
  ${GPUNN_ONEDNN_LIBRARY} gomp)
target_include_directories(gpunn_objects SYSTEM PRIVATE ${GPUNN_ONEDNN_INCLUDE})
set_target_properties(gpunn_objects PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

file(GLOB gpunn_simd_kernels CONFIGURE_DEPENDS src/cpu/simd/*.simd.cpp)
gpunn_simd_sources(gpunn_objects ${gpunn_simd_kernels})

add_library(gpunn)
add_library(gpunn::gpunn ALIAS gpunn)
target_link_libraries(gpunn PRIVATE $<BUILD_INTERFACE:gpunn_objects>)
target_compile_features(gpunn INTERFACE cxx_std_20)
target_include_directories(gpunn INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(gpunn PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# The CUDA backend: loaded by libgpunn when a driver and a device are there (src/graph/devices.cpp), never linked by users.
if(TARGET gpunn_cuda_glue AND BUILD_SHARED_LIBS AND NOT GPUNN_SANITIZE)
  add_library(gpunn_cuda SHARED $<TARGET_OBJECTS:gpunn_cuda_glue> $<TARGET_OBJECTS:gpunn_cuda_libraries>
    $<TARGET_OBJECTS:gpunn_kernels>)
  target_link_libraries(gpunn_cuda PRIVATE gpunn CUDA::cudart_static CUDA::cublasLt $<TARGET_NAME_IF_EXISTS:CUDNN::cudnn>)
  target_link_options(gpunn_cuda PRIVATE -Wl,-z,defs)
  set_target_properties(gpunn_cuda PROPERTIES INSTALL_RPATH "$ORIGIN" LINKER_LANGUAGE CXX)
  install(TARGETS gpunn_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
