# Run by CPack on the files of the packages: examples and networks lie elsewhere than in the repository.
file(GLOB files ${CPACK_TEMPORARY_DIRECTORY}/*/usr/share/doc/convopt/docs/*/*.md)
foreach(file IN LISTS files)
  file(READ ${file} text)
  string(REPLACE "](../../examples/python" "](../../../python3-convopt/examples" text "${text}")
  string(REPLACE "](../../examples" "](../../../libconvopt-dev/examples" text "${text}")
  string(REPLACE "](../../data/networks" "](../../../../convopt/networks" text "${text}")
  file(WRITE ${file} "${text}")
endforeach()
