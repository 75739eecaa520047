# Compiles the C++ type support of an interface package in one piece per library. Most of its
# compile time is reading the same headers once per message. The C files repeat static names and
# must stay apart. The C++ introspection specialises a template for each message and uses it for
# the messages within it: these must come first in the list of the package.
function(compile_in_one_piece)
  foreach(kind fastrtps_c fastrtps_cpp introspection_cpp cpp)
    set(library ${PROJECT_NAME}__rosidl_typesupport_${kind})
    if(TARGET ${library})
      set_target_properties(${library} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    endif()
  endforeach()
endfunction()

# The libraries exist only when the package's own CMakeLists.txt has been read.
cmake_language(DEFER CALL compile_in_one_piece)
