#include "analysis/app/http.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostHead = 16 << 10, kMostBody = 4 << 20, kMostOpen = 64;
constexpr int kWorkers = 8;
constexpr std::chrono::seconds kPatience{10};      // for the whole of a request
constexpr std::chrono::milliseconds kLinger{500};  // for what was sent to arrive

using Clock = std::chrono::steady_clock;

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Internal Server Error";
  }
}

/// Waits until there is room to write. False: the time is over.
bool writable(int connection, Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd wait{connection, POLLOUT, 0};
  return left > 0 && poll(&wait, 1, static_cast<int>(left)) > 0;
}

void send_all(int connection, std::string_view text) {
  const auto until = Clock::now() + kPatience;
  while (!text.empty() && writable(connection, until)) {
    const ssize_t sent = send(connection, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent <= 0) return;  // the browser went away: nothing of ours is lost
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
}

bool parse_arguments(std::string_view query, HttpRequest& request) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = decoded(pair.substr(0, equals));
    const auto value = decoded(equals < pair.size() ? pair.substr(equals + 1) : std::string_view());
    if (!name || !value) return false;
    request.arguments.emplace_back(*name, *value);
  }
  return true;
}

/// Length of the body; nothing: it is not stated as one whole number, or encoded in a way that is not taken.
std::optional<std::size_t> body_length(const HttpRequest& request) {
  if (!request.header("transfer-encoding").empty()) return std::nullopt;
  const std::string length = request.header("content-length");
  if (length.empty()) return 0;
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), value);
  if (error != std::errc() || end != length.data() + length.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string HttpRequest::argument(std::string_view name) const {
  for (const auto& [key, value] : arguments) {
    if (key == name) return value;
  }
  return {};
}

std::vector<std::string> HttpRequest::all_arguments(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [key, value] : arguments) {
    if (key == name) out.push_back(value);
  }
  return out;
}

std::string HttpRequest::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? std::string() : at->second;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%') {
      unsigned value = 0;
      if (i + 2 >= text.size()) return std::nullopt;
      const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
      if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

ParsedRequest parse_request(std::string_view head) {
  HttpRequest request;
  const auto line = [&head] {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view out = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    return out;
  };
  const std::string_view first = line();
  const std::size_t space = first.find(' '), last = first.rfind(' ');
  if (space == std::string_view::npos || last == space) return {};
  request.method = std::string(first.substr(0, space));
  std::string_view target = first.substr(space + 1, last - space - 1);
  const std::string_view protocol = first.substr(last + 1);
  if (protocol != "HTTP/1.1" && protocol != "HTTP/1.0") return {};
  if (request.method != "GET" && request.method != "POST") return {std::nullopt, 405};
  if (target.empty() || target.front() != '/' || target.find(' ') != std::string_view::npos) return {};
  const std::size_t question = std::min(target.find('?'), target.size());
  const auto path = decoded(target.substr(0, question));
  if (!path || path->find('\0') != std::string::npos) return {};
  request.path = *path;
  if (question < target.size() && !parse_arguments(target.substr(question + 1), request)) return {};
  while (!head.empty()) {
    const std::string_view field = line();
    const std::size_t colon = field.find(':');
    if (colon == 0 || colon == std::string_view::npos) return {};
    std::string name(field.substr(0, colon));
    if (!std::all_of(name.begin(), name.end(), is_token_char)) return {};
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string_view value = trimmed(field.substr(colon + 1));
    const bool steers = std::any_of(value.begin(), value.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; });
    // Two hosts or two lengths are how one server is made to see another request than the next one.
    if (steers || !request.headers.emplace(std::move(name), value).second) return {};
  }
  return {std::move(request), 200};
}

HttpServer::HttpServer(int port, Handler handler) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  socklen_t size = sizeof address;
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, static_cast<int>(kMostOpen)) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const std::string why = std::strerror(errno);
    if (listener_ >= 0) close(listener_);
    throw std::runtime_error(fmt::format("127.0.0.1:{}: {}", port, why));
  }
  port_ = ntohs(address.sin_port);
  for (int i = 0; i < kWorkers; ++i) workers_.emplace_back([this] { work(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  take_back();
  for (const Visitor& visitor : open_) close(visitor.connection);
  for (const Asked& asked : asked_) close(asked.connection);
  close(listener_);
}

void HttpServer::take_back() {
  const std::lock_guard lock(mutex_);
  for (const int connection : answered_) let_in({connection, Clock::now() + kLinger, true});
  answered_.clear();
}

/// Who knocks is let in: where too many stand at the door, the one that has stood there longest without having said
/// what it wants goes. So connections on which nothing comes keep nobody out, and no worker ever waits for one.
void HttpServer::let_in(Visitor visitor) {
  if (open_.size() >= kMostOpen) {
    close(open_.front().connection);
    open_.pop_front();
  }
  open_.push_back(std::move(visitor));
}

void HttpServer::serve(const std::function<bool()>& go_on) {
  constexpr int kAskEvery = 200;  // ms
  std::vector<pollfd> waits;
  while (go_on()) {
    take_back();
    waits.assign(1, {listener_, POLLIN, 0});
    for (const Visitor& visitor : open_) waits.push_back({visitor.connection, POLLIN, 0});
    poll(waits.data(), waits.size(), kAskEvery);
    std::deque<Visitor> staying;
    for (std::size_t i = 0; i < open_.size(); ++i) {
      Visitor& visitor = open_[i];
      const Listened heard = waits[i + 1].revents != 0 ? listen_to(visitor) : Listened::more;
      if (heard == Listened::whole) {
        const std::lock_guard lock(mutex_);
        if (asked_.size() < kMostOpen)
          asked_.push_back({visitor.connection, std::move(visitor.parsed)});
        else
          close(visitor.connection);
        arrived_.notify_one();
      } else if (heard == Listened::gone || Clock::now() >= visitor.until) {
        close(visitor.connection);
      } else {
        staying.push_back(std::move(visitor));
      }
    }
    open_ = std::move(staying);
    if ((waits[0].revents & POLLIN) == 0) continue;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) let_in({connection, Clock::now() + kPatience});
  }
}

// Reads once, and as soon as the head is there looks whether the rest is worth waiting for.
HttpServer::Listened HttpServer::listen_to(Visitor& visitor) {
  char piece[65536];
  const ssize_t got = recv(visitor.connection, piece, sizeof piece, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Listened::more;
  if (got <= 0) return Listened::gone;
  if (visitor.answered) return Listened::more;  // closing on unread bytes would take the answer back
  std::string& text = visitor.text;
  text.append(piece, static_cast<std::size_t>(got));
  if (!visitor.parsed.request) {
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos && text.size() <= kMostHead) return Listened::more;
    visitor.parsed = end > kMostHead ? ParsedRequest{{}, 431} : parse_request(std::string_view(text).substr(0, end));
    if (!visitor.parsed.request) return Listened::whole;
    const auto length = body_length(*visitor.parsed.request);
    if (!length || *length > kMostBody) {
      visitor.parsed = {std::nullopt, length ? 413 : 400};
      return Listened::whole;
    }
    visitor.body = *length;
    text.erase(0, end + 4);
  }
  if (text.size() < visitor.body) return Listened::more;
  visitor.parsed.request->body = text.substr(0, visitor.body);
  return Listened::whole;
}

void HttpServer::work() {
  for (;;) {
    Asked asked;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return stop_ || !asked_.empty(); });
      if (stop_) return;
      asked = std::move(asked_.front());
      asked_.pop_front();
    }
    answer(asked.connection, asked.parsed);
    shutdown(asked.connection, SHUT_WR);
    const std::lock_guard lock(mutex_);
    answered_.push_back(asked.connection);
  }
}

void HttpServer::answer(int connection, const ParsedRequest& parsed) {
  HttpAnswer out{parsed.fault, "text/plain; charset=utf-8", "refused\n"};
  if (parsed.request) {
    try {
      out = handler_(*parsed.request);
    } catch (const std::exception& error) {
      out = {500, "text/plain; charset=utf-8", std::string(error.what()) + "\n"};
    }
  }
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: SAMEORIGIN\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n",
      out.status, reason(out.status), out.type, out.body.size());
  if (!out.file_name.empty())
    head += fmt::format("Content-Disposition: attachment; filename=\"{}\"\r\n", out.file_name);
  send_all(connection, head + "\r\n");
  send_all(connection, out.body);
}

}  // namespace flopcast
