"""The words of the generated mail: what everybody says, and what each kind of mail talks about. Written for this."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["COMMON", "FUNCTION", "NAMES", "OPENINGS", "TOPICS", "listed"]


def listed(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(text.split())


FUNCTION = listed(
    """the to and of a in you for is that it on we with this be are have i will as at from your or can our not if an by
    was but all so has do they there would which been one more when what about who them their up out some time just
    no were my than any other could me into its only over then also how after first these his her she he two new
    because should does here where most very again still before may each between own while both under during"""
)

COMMON = listed(
    """please know see need send today make good like work take people week back look day find want use great help way
    thanks give year call next tell last keep place part number point start end ask let long little right small
    question change open list note short case line side week name home possible sure set line read add free best
    information service online customer available special once receive order mail link click below offer simply
    contact visit reply number full real always never enjoy easy early later morning evening"""
)

NAMES = listed(
    """anna bruno clara david elena felix greta henry irene jonas karin louis maria nora oscar paula quentin rosa simon
    tessa ulrich vera walter xenia yvonne zoe martin julia peter sofia"""
)

TOPICS = MappingProxyType(
    {
        "work": listed(
            """meeting project budget draft review agenda minutes deadline report slides schedule client contract
    team quarter invoice proposal estimate figures attached version comments approval department manager office
    conference room calendar hiring candidate interview policy procurement supplier server release ticket branch
    deployment migration specification requirement test bug milestone workshop training travel expenses timesheet
    colleague feedback presentation spreadsheet summary objective risk vendor audit compliance roadmap backlog"""
        ),
        "newsletter": listed(
            """newsletter issue edition readers article interview recipe garden museum exhibition festival
    concert author book review podcast episode science climate history travel guide photography gallery award
    subscribe unsubscribe preferences browser archive editor column weekly monthly events workshop community members
    research university lecture film theatre season chef restaurant trail mountain cycling football league
    discount sale collection offer members exclusive save shop"""
        ),
        "receipt": listed(
            """order receipt invoice total subtotal tax shipping delivery tracking parcel item quantity payment
    card paid confirmation purchase address billing dispatched warehouse courier return refund warranty booking
    reservation ticket seat departure arrival train flight hotel nights guest subscription renewal statement account
    balance period electricity meter usage appointment clinic library due loan number reference customer support"""
        ),
        "private": listed(
            """dinner birthday weekend mum dad grandma kids school holiday beach garden dog cat photos party
    cake coffee lunch train drive house kitchen neighbour wedding baby sister brother cousin friend film match
    football guitar band song trip camping tent lake boat bike walk rain sunshine cold doctor tired happy funny laugh
    miss hug love remember summer christmas present bring recipe soup bread wine cinema tickets saturday sunday"""
        ),
        "pills": listed(
            """pharmacy pills tablets prescription doctor approved generic dose herbal weight loss diet slim fat
    burn natural remedy enhancement performance stamina male women cheap price discount discreet worldwide shipping
    licensed medication relief pain sleep anxiety supplement capsules bottle trial guaranteed results clinically
    proven secret miracle formula energy muscle skin wrinkle ageing hair growth save today limited"""
        ),
        "loan": listed(
            """loan credit mortgage debt refinance rate approved cash instant bad history lender apply application
    consolidate monthly payments lower interest bank qualify guaranteed deposit income borrow funds financial
    freedom score unsecured personal business capital invest profit returns bitcoin crypto trading broker earn
    passive wealth millionaire secret system opportunity risk free bonus urgent limited today"""
        ),
        "fortune": listed(
            """million dollars fund transfer beneficiary deceased bank barrister inheritance foreign partner
    confidential urgent transaction claim lottery winner prize draw ballot award consignment diplomat ministry
    minister widow late husband god bless trust honest share percent deposit account security company agent kindly
    contact telephone fax reply nationality occupation sum assist investment charity orphan hospital"""
        ),
        "account": listed(
            """account verify password security suspended unusual activity login update confirm identity
    information immediately limited access restore click link customer support department billing payment failed
    expire mailbox quota storage exceeded upgrade administrator validate credentials sign notification alert
    attempt unauthorised location device locked hours permanently closed avoid interruption service secure
    statement invoice delivery parcel failed address fee tracking"""
        ),
        "replica": listed(
            """luxury watches replica designer handbags brand quality swiss rolex leather original copy sale
    discount outlet cheap price collection gift exclusive jewellery gold silver diamond sunglasses shoes fashion
    shop store order now warehouse clearance software cheap licence download casino bonus spins jackpot poker bet
    slots deposit win dating singles lonely chat meet hot girls webcam profile adult"""
        ),
        "jobs": listed(
            """job vacancy home earn weekly salary part time position employment agent payment processing hours
    flexible experience required training provided income extra money work computer internet company hiring
    immediately apply resume candidate transfer commission bonus package parcels reship mystery shopper survey
    reward gift card voucher degree diploma university certificate accredited nonaccredited online seo ranking
    traffic website backlinks promotion leads list marketing"""
        ),
    }
)
"""Kind of mail → its words, the likelier first. The kinds share many: an offer is in a newsletter as well."""

OPENINGS = MappingProxyType(
    {
        "work": ("hi {name}", "hello all", "dear {name}", "team"),
        "newsletter": ("hello {name}", "dear reader", "this week"),
        "receipt": ("dear {name}", "hello {name}", "thank you for your order", "dear customer"),
        "private": ("hi {name}", "hey {name}", "dear {name}", "hello you"),
        "pills": ("hello", "dear friend", "dear customer", "hi {name}"),
        "loan": ("dear customer", "hello", "hi {name}", "attention"),
        "fortune": ("dear friend", "attention", "dear sir", "good day"),
        "account": ("dear customer", "dear user", "dear {name}", "attention"),
        "replica": ("hello", "dear friend", "hi"),
        "jobs": ("hello", "dear {name}", "good day", "hi there"),
    }
)
"""How a mail of each kind begins."""
