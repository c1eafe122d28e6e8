# The extension module fastopt._native: csrc/fastopt.cdef -> cffi -> C, in the build tree.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT})

set(generated ${CMAKE_CURRENT_BINARY_DIR}/_native.c)
add_custom_command(
  OUTPUT ${generated}
  COMMAND ${Python_EXECUTABLE} -m cffi.gen_src read-sources fastopt._native
          ${CMAKE_CURRENT_SOURCE_DIR}/csrc/fastopt.cdef ${CMAKE_CURRENT_SOURCE_DIR}/csrc/prelude.h ${generated}
  DEPENDS csrc/fastopt.cdef csrc/prelude.h
  COMMENT "Generating the cffi module"
  VERBATIM)

add_library(_native MODULE ${generated})
fastopt_sources(_native)
target_include_directories(_native PRIVATE csrc)
target_compile_definitions(_native PRIVATE FO_STATIC)
if(NOT MSVC)
  # The generated code has helpers for types that this module does not use.
  set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS "-Wno-unused-function;-Wno-unused-parameter;-Wno-missing-field-initializers;-Wno-cast-function-type")
endif()

# One wheel for every Python from 3.11 on, where the stable ABI exists.
if(SKBUILD_SABI_VERSION)
  target_compile_definitions(_native PRIVATE Py_LIMITED_API=0x030b0000)
  set(suffix .abi3.so)
  if(WIN32)
    set(suffix .pyd)
  endif()
else()
  set(suffix ".${SKBUILD_SOABI}${CMAKE_SHARED_MODULE_SUFFIX}")
  if(WIN32)
    set(suffix ".${SKBUILD_SOABI}.pyd")
  endif()
endif()
if(TARGET Python::SABIModule)
  target_link_libraries(_native PRIVATE Python::SABIModule)
else()
  target_link_libraries(_native PRIVATE Python::Module)
endif()
set_target_properties(_native PROPERTIES PREFIX "" SUFFIX "${suffix}")
install(TARGETS _native LIBRARY DESTINATION fastopt COMPONENT python)
