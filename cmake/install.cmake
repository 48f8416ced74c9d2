# What `cmake --install` copies: libgpunn, the public headers and the package that find_package(gpunn) reads.
include(CMakePackageConfigHelpers)

file(GLOB gpunn_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/gpunn/*.hpp)
target_sources(gpunn PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${gpunn_headers})

# A static archive names the libraries that its objects call; a shared one has them inside, or as its own needs.
set(gpunn_static_packages "")
if(NOT BUILD_SHARED_LIBS)
  get_target_property(libraries gpunn_objects LINK_LIBRARIES)
  list(REMOVE_ITEM libraries gpunn_flags nlohmann_json::nlohmann_json)  # header-only, and ours
  foreach(library IN LISTS libraries)
    target_link_libraries(gpunn INTERFACE $<INSTALL_INTERFACE:$<LINK_ONLY:${library}>>)
    if(library MATCHES "^(.+)::")
      list(APPEND gpunn_static_packages ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(TRANSFORM gpunn_static_packages REPLACE "^DNNL$" "dnnl")
  list(JOIN gpunn_static_packages " " gpunn_static_packages)
endif()

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/gpunn)
install(TARGETS gpunn EXPORT gpunnTargets FILE_SET HEADERS)
install(EXPORT gpunnTargets NAMESPACE gpunn:: DESTINATION ${package})
configure_package_config_file(cmake/gpunnConfig.cmake.in ${PROJECT_BINARY_DIR}/gpunnConfig.cmake INSTALL_DESTINATION ${package})
# Until 1.0 a minor version may change the interface, as the SOVERSION says too.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gpunnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gpunnConfig.cmake ${PROJECT_BINARY_DIR}/gpunnConfigVersion.cmake DESTINATION ${package})
