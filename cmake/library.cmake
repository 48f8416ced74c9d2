# The library: its objects, which the tests link to reach what is hidden, and the shared (or static) libgpunn.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)

add_library(gpunn_objects OBJECT ${gpunn_sources})
target_link_libraries(gpunn_objects PUBLIC gpunn_flags
  PRIVATE Threads::Threads spdlog::spdlog ZLIB::ZLIB nlohmann_json::nlohmann_json)
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
