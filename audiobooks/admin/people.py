"""Users and groups, in the same dress as the other pages."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from scheduling.admin.posting import SchedulingAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(UserAdmin, SchedulingAdmin):  # type: ignore[misc, type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class RoleAdmin(GroupAdmin, SchedulingAdmin):  # type: ignore[misc]
    pass
