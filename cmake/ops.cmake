# An op is a stem with its files: configuring fails when one is missing, so that no op comes without a reference or tests.
set(GPUNN_OPS_DEF ${CMAKE_CURRENT_LIST_DIR}/../src/ops/ops.def)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${GPUNN_OPS_DEF})
file(STRINGS ${GPUNN_OPS_DEF} gpunn_op_lines REGEX "^GPUNN_OP\\(")
foreach(line IN LISTS gpunn_op_lines)
  string(REGEX REPLACE "GPUNN_OP\\((.*)\\).*" "\\1" stem "${line}")
  foreach(file src/ops/${stem}.hpp src/ops/${stem}.cpp src/cpu/${stem}.cpp tests/reference/${stem}.cpp
               tests/ops/${stem}_test.cpp)
    if(NOT EXISTS ${CMAKE_CURRENT_LIST_DIR}/../${file})
      message(FATAL_ERROR "op '${stem}' has no ${file}")
    endif()
  endforeach()
endforeach()
