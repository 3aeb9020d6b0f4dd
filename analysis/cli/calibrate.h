// `flopcast calibrate --measurements DIR`.
#pragma once

namespace CLI {
class App;
}

namespace flopcast {

void add_calibrate_command(CLI::App& program);

}  // namespace flopcast
