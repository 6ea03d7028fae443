"""Default access lists (acl(5)) for the folders that people share, as tmpfiles.d sets them.

With them, the group can read and move new files and folders, whatever a person's umask is.
"""

import contextlib
import errno
import os
import stat
import struct
from pathlib import Path

_DEFAULT = "system.posix_acl_default"
_VERSION = 2  # of what the kernel takes (linux/posix_acl_xattr.h)
_USER_OBJ, _GROUP_OBJ, _OTHER = 0x01, 0x04, 0x20
_NOBODY = 0xFFFFFFFF  # these entries name no user
_ALL, _NOTHING = 7, 0
_ENTRIES = ((_USER_OBJ, _ALL), (_GROUP_OBJ, _ALL), (_OTHER, _NOTHING))
_ACL = struct.pack("<I", _VERSION) + b"".join(
    struct.pack("<HHI", tag, rights, _NOBODY) for tag, rights in _ENTRIES
)
_GOES_WITHOUT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES}


def share(folder: Path) -> bool:
    """Make all that is created in one of our folders belong and be open to its group only.

    Returns False if that is not possible: people then need a umask of 007.
    """
    if not _is_its_groups(folder):
        return False
    try:
        os.setxattr(folder, _DEFAULT, _ACL)
    except OSError as error:
        if error.errno not in _GOES_WITHOUT:
            raise
        return False
    return True


def _is_its_groups(folder: Path) -> bool:
    """Make all that is created in a folder belong to its group (setgid); False if we may not.

    Without it, an access list would shut out the users that it is for, and us.
    """
    if not folder.stat().st_mode & stat.S_ISGID:
        with contextlib.suppress(PermissionError):  # a unit may forbid it (RestrictSUIDSGID=)
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_ISGID)
    return bool(folder.stat().st_mode & stat.S_ISGID)
