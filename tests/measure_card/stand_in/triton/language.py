from anything import module_attribute as __getattr__  # noqa: F401

constexpr = int
