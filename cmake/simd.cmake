# gpunn_simd_sources(<target> <files...>): compiles each *.simd.cpp once per instruction set.
#
# A SIMD source is written once over GPUNN_LANES floats per vector, holds everything in an anonymous namespace (through
# src/cpu/simd/vec.hpp) and exports one constant table of function pointers named by GPUNN_SIMD_NAME(table).
# src/cpu/simd/dispatch.hpp chooses among the tables once, at start. Such a source includes no standard header with
# inline functions: the linker may keep the copy that was compiled for the wider instruction set.
set(GPUNN_SIMD_LEVELS base)
set(GPUNN_SIMD_FLAGS_base -DGPUNN_LANES=4)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND GPUNN_SIMD_LEVELS avx2 avx512)
  set(GPUNN_SIMD_FLAGS_avx2 -DGPUNN_LANES=8 -mavx2 -mfma)
  set(GPUNN_SIMD_FLAGS_avx512 -DGPUNN_LANES=16 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mprefer-vector-width=512)
endif()

function(gpunn_simd_sources target)
  set(optimise -O3)
  if(GPUNN_SANITIZE)
    set(optimise -O1)  # checks of every access in the unrolled tiles: minutes at -O3, seconds at -O1
  endif()
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME)
    string(REPLACE ".simd.cpp" "" stem ${stem})
    foreach(level IN LISTS GPUNN_SIMD_LEVELS)
      set(object ${target}_${stem}_${level})
      add_library(${object} OBJECT ${file})
      target_link_libraries(${object} PRIVATE gpunn_flags)
      target_compile_options(${object} PRIVATE ${GPUNN_SIMD_FLAGS_${level}} -DGPUNN_SIMD_LEVEL=${level}
        ${optimise})
      set_target_properties(${object} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
      # PUBLIC: an object library does not hand its own object sources on to what links it.
      target_sources(${target} PUBLIC $<TARGET_OBJECTS:${object}>)
    endforeach()
  endforeach()
endfunction()
