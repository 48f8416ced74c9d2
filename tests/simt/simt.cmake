# The software CUDA device for CMake projects. Include this file, then:
#
#   simt_add_kernels(<target> <files.cu>...)
#       compiles unmodified .cu files with the host compiler, for the software device, into <target>, and links <target>
#       with the device and its stand-in for the CUDA runtime.
#   simt_sanitize(<target> address|thread|count)
#       builds <target> under AddressSanitizer and UBSan, under ThreadSanitizer, or with counted memory accesses.
#   SIMT_FOUND, SIMT_REASON
#       whether the toolkit's headers (all that is needed of it) were found, and if not, what to tell the user.
#
# May be included from several directories: variables and imported packages belong to a directory, targets to the
# project.
set(SIMT_DIR ${CMAKE_CURRENT_LIST_DIR})
set(SIMT_FOUND FALSE)
find_package(CUDAToolkit QUIET)
find_package(Boost QUIET COMPONENTS context)
find_package(nlohmann_json QUIET)
if(NOT CUDAToolkit_FOUND)
  set(SIMT_REASON "no CUDA toolkit was found (its headers are needed)")
elseif(NOT Boost_FOUND)
  set(SIMT_REASON "Boost.Context was not found")
elseif(NOT nlohmann_json_FOUND)
  set(SIMT_REASON "nlohmann-json was not found")
else()
  set(SIMT_FOUND TRUE)
endif()
# A lane that must not skip says so.
if(NOT SIMT_FOUND AND "$ENV{GPUNN_REQUIRE_CUDA}")
  message(FATAL_ERROR "simt: ${SIMT_REASON}, and GPUNN_REQUIRE_CUDA=1 asks for it")
endif()
if(NOT SIMT_FOUND)
  message(STATUS "simt: the software CUDA device is left out: ${SIMT_REASON}")
  return()
endif()

find_package(Threads REQUIRED)
if(NOT TARGET simt)
  file(GLOB simt_sources CONFIGURE_DEPENDS ${SIMT_DIR}/src/*.cpp)
  add_library(simt STATIC EXCLUDE_FROM_ALL ${simt_sources})
  target_compile_features(simt PUBLIC cxx_std_20)
  # Never sanitized: it reports to the sanitizers what a switch between CUDA threads means, and must not be watched itself.
  target_compile_options(simt PRIVATE -O2 -g1 -Wall -Wextra -Wpedantic -Werror)
  target_include_directories(simt PUBLIC ${SIMT_DIR}/include)
  target_include_directories(simt SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(simt PRIVATE Boost::context nlohmann_json::nlohmann_json PUBLIC ${CMAKE_DL_LIBS})
  target_link_libraries(simt PUBLIC Threads::Threads)
  target_link_options(simt INTERFACE -Wl,-T,${SIMT_DIR}/simt.ld)
  # src/math_wrap.cpp stands between kernels and the C library.
  foreach(name expf exp2f expm1f logf log2f log10f log1pf sinf cosf tanf atanf sinhf coshf tanhf erff erfcf cbrtf powf
          __assert_fail)
    target_link_options(simt INTERFACE -Wl,--wrap=${name})
  endforeach()
  set_property(TARGET simt APPEND PROPERTY INTERFACE_LINK_DEPENDS ${SIMT_DIR}/simt.ld)

  # The hooks of counting builds.
  add_library(simt_count STATIC EXCLUDE_FROM_ALL ${SIMT_DIR}/src/count/hooks.cpp)
  target_compile_features(simt_count PRIVATE cxx_std_20)
  target_compile_options(simt_count PRIVATE -O2 -Wall -Wextra -Werror
    $<$<CXX_COMPILER_ID:GNU>:-Wno-builtin-declaration-mismatch>)
  target_link_libraries(simt_count PUBLIC simt)
endif()

# Stand-ins for cuBLASLt and, where its headers are, cuDNN: link simt_libraries in place of the real ones.
if(NOT TARGET simt_libraries)
  file(GLOB simt_library_sources CONFIGURE_DEPENDS ${SIMT_DIR}/libraries/*.cpp)
  find_path(SIMT_CUDNN_INCLUDE cudnn.h HINTS ${CUDNN_INCLUDE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
  mark_as_advanced(SIMT_CUDNN_INCLUDE)
  set(SIMT_LEFT_OUT "/without_cudnn[.]cpp$")
  if(NOT SIMT_CUDNN_INCLUDE)
    set(SIMT_LEFT_OUT "/cudnn[^/]*[.]cpp$")
  endif()
  list(FILTER simt_library_sources EXCLUDE REGEX "${SIMT_LEFT_OUT}")
  add_library(simt_libraries STATIC EXCLUDE_FROM_ALL ${simt_library_sources})
  target_compile_options(simt_libraries PRIVATE -O2 -g1 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off)
  if(SIMT_CUDNN_INCLUDE)
    target_include_directories(simt_libraries SYSTEM PUBLIC ${SIMT_CUDNN_INCLUDE})
  endif()
  target_link_libraries(simt_libraries PUBLIC simt)
endif()

function(simt_add_kernels target)
  foreach(file IN LISTS ARGN)
    get_filename_component(file ${file} ABSOLUTE)
    get_filename_component(stem ${file} NAME_WE)
    # A source of its own per target, so that the same .cu can go to nvcc elsewhere and to several variants here. The
    # name *.k.cpp is what the linker script knows kernels by.
    set(source ${CMAKE_CURRENT_BINARY_DIR}/simt/${target}/${stem}.k.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${file}\"\n" @ONLY)
    target_sources(${target} PRIVATE ${source})
    set_property(TARGET ${target} APPEND PROPERTY SIMT_KERNELS ${source})
    # Uninitialised locals are NaN or huge. -fdata-sections gives every static a section with its name, by which the
    # linker script finds the __shared__ variables of templates.
    set_source_files_properties(${source} PROPERTIES
      COMPILE_OPTIONS "-ftrivial-auto-var-init=pattern;-fdata-sections" OBJECT_DEPENDS ${file})
  endforeach()
  target_link_libraries(${target} PUBLIC simt)
endfunction()

# Decided by measurement (README, "Which compiler"): g++'s UBSan sees misaligned vectors that clang's lets pass; clang's
# ThreadSanitizer is ten times faster, because g++ 12's pays for a barrier with the square of the block size.
find_program(SIMT_CLANG NAMES clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14)
find_program(SIMT_GXX NAMES g++ g++-14 g++-13 g++-12)

# Compiles and links `target` with another compiler than the project's.
function(simt_use_compiler target compiler)
  get_target_property(launcher ${target} CXX_COMPILER_LAUNCHER)
  if(NOT launcher)
    set(launcher "")
  endif()
  string(REPLACE ";" " " launcher "${launcher}")
  set_target_properties(${target} PROPERTIES
    CXX_COMPILER_LAUNCHER "${SIMT_DIR}/use_compiler.sh;${launcher} ${compiler}"
    CXX_LINKER_LAUNCHER "${SIMT_DIR}/use_compiler.sh;${compiler}")
endfunction()

# Only the kernels are watched, and unoptimised: then an access in the source is an access, with its own width. g++,
# because clang turns copies of float4 into memcpy. Call it after simt_add_kernels.
function(simt_count_accesses target)
  get_target_property(kernels ${target} SIMT_KERNELS)
  foreach(source IN LISTS kernels)
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -fsanitize=thread -O0)
  endforeach()
  target_link_libraries(${target} PUBLIC simt_count)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND SIMT_GXX)
    simt_use_compiler(${target} ${SIMT_GXX})
  endif()
endfunction()

function(simt_sanitize target mode)
  if(mode STREQUAL "count")
    simt_count_accesses(${target})
    return()
  endif()
  set(compiler ${CMAKE_CXX_COMPILER_ID})
  if(mode STREQUAL "address")
    set(flags -fsanitize=address,undefined)
    target_compile_options(${target} PRIVATE -fno-sanitize-recover=all -fno-omit-frame-pointer)
    if(NOT compiler STREQUAL "GNU" AND SIMT_GXX)
      simt_use_compiler(${target} ${SIMT_GXX})
      set(compiler GNU)
    endif()
    if(compiler STREQUAL "GNU")
      # g++ guards variables in sections of their own only when told their names.
      target_compile_options(${target} PRIVATE -fsanitize-sections=.simt_shared)
    endif()
  elseif(mode STREQUAL "thread")
    set(flags -fsanitize=thread)
    if(compiler STREQUAL "GNU" AND SIMT_CLANG)
      simt_use_compiler(${target} ${SIMT_CLANG})
    endif()
  else()
    message(FATAL_ERROR "simt_sanitize: unknown mode ${mode}")
  endif()
  target_compile_options(${target} PRIVATE ${flags} -g1 -O1)
  target_link_options(${target} PRIVATE ${flags})
endfunction()
