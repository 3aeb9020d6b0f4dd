# The bytes of a file as a function that returns them: cmake -DINPUT=... -DOUTPUT=... -DNAME=... -P embed.cmake
# With -DTEXT=ON as a literal, which compilers read faster than numbers; for texts without a line )embedded".
if(TEXT)
  file(READ ${INPUT} text)
  file(WRITE ${OUTPUT} "#include <string_view>

namespace flopcast {

std::string_view ${NAME}() {
  static const char kText[] = R\"embedded(${text})embedded\";
  return {kText, sizeof kText - 1};
}

}  // namespace flopcast
")
  return()
endif()
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include <string_view>

namespace flopcast {

std::string_view ${NAME}() {
  static const unsigned char kBytes[] = {
${bytes}};
  return {reinterpret_cast<const char*>(kBytes), sizeof kBytes};
}

}  // namespace flopcast
")
